import { describe, expect, test } from 'vitest';
import { indexSchema } from '../config.ts';

const token = 'a secret of two clusters';
const west = { url: 'https://west.example', token };
const base = { role: 'index', data: '/tmp/x', origins: ['http://127.0.0.1:15002'] };

/** Each problem by its path, and the beginning of what it says. */
function problems(replicate: unknown, more: object = {}): string[] {
  const read = indexSchema.safeParse({ ...base, ...more, replicate });
  return read.success ? [] : read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
}

describe('replicate: of an index', () => {
  test('what is said least has its defaults', () => {
    const read = indexSchema.parse({ ...base, replicate: { remotes: { west }, rules: [{ to: 'west' }] } });
    expect(read.replicate).toMatchObject({
      remotes: { west: { kind: 'shoal', concurrency: 4, stall: 30_000 } },
      rules: [{ repositories: ['**'], to: ['west'], deletes: false }],
    });
    expect(indexSchema.parse(base).replicate).toBeUndefined();
  });

  test('a remote that is none, rules that name none, and rules that both speak, are named by path', () => {
    const rules = [
      { repositories: 'a/**', to: 'west' },
      { repositories: ['b', '*/x'], to: ['west', 'east'] },
      { repositories: '///', to: 'west' },
    ];
    expect(problems({ remotes: { west }, rules: rules.slice(0, 2) })).toEqual([
      'replicate.rules.1.to.1: east is not among `remotes`: there are west',
      expect.stringMatching(/^replicate\.rules\.1\.repositories: \*\/x and a\/\*\* of rules\.0 have repositories/),
    ]);
    expect(problems({ remotes: { west }, rules })).toContainEqual(
      expect.stringMatching(/^replicate\.rules\.2\.repositories: expected a pattern/),
    );
    expect(problems({ rules: [{ to: 'x' }] })).toEqual([
      'replicate.rules.0.to: x is not among `remotes`, which is empty',
    ]);
  });

  test('one place has one name, and no path', () => {
    const twice = { one: west, two: { ...west, url: 'https://west.example/' }, three: { ...west, url: 'http://h/v2' } };
    expect(problems({ remotes: twice })).toEqual([
      'replicate.remotes.two.url: https://west.example is remote one too: name it once',
      expect.stringMatching(/^replicate\.remotes\.three\.url: http:\/\/h\/v2 has a path/),
    ]);
  });

  test('a Shoal has a secret and keeps names, a registry has neither', () => {
    const { token: _, ...open } = west;
    expect(problems({ remotes: { west: open } })).toEqual([
      expect.stringMatching(/^replicate\.remotes\.west\.kind: .*exactly one/),
    ]);
    expect(problems({ remotes: { west: { ...west, tokenFile: '/x' } } })).toEqual([
      expect.stringMatching(/^replicate\.remotes\.west\.tokenFile: .*exactly one/),
    ]);
    expect(problems({ remotes: { west: { ...west, token: 'short' } } })).toEqual([
      expect.stringMatching(/^replicate\.remotes\.west\.token: .*at least 16/),
    ]);
    expect(problems({ remotes: { west: { ...west, namespace: { to: 'x' } } } })).toEqual([
      expect.stringMatching(/^replicate\.remotes\.west\.namespace: .*round for ever/),
    ]);
    expect(problems({ remotes: { hub: { ...west, kind: 'registry' } } })).toEqual([
      expect.stringMatching(/^replicate\.remotes\.hub\.token: is for a Shoal/),
    ]);
    const hub = { ...open, kind: 'registry', namespace: { from: 'a', to: 'mirror/a' } };
    expect(problems({ remotes: { hub }, rules: [{ repositories: 'a/**', to: 'hub' }] })).toEqual([]);
    expect(problems({ remotes: { hub }, rules: [{ to: 'hub' }] })).toEqual([
      expect.stringMatching(/^replicate\.rules\.0\.repositories: \*\* has repositories that do not begin with a\//),
    ]);
  });

  test('a registry that the index reads is not written to by a rule: that would be both ways', () => {
    const hub = { url: 'https://hub.example', kind: 'registry' };
    const backends = [{ name: 'up', repositories: 'a/**', registry: { address: 'hub.example' } }];
    const to = (repositories: string) => ({ remotes: { hub }, rules: [{ repositories, to: 'hub' }] });
    expect(problems(to('*/x'), { backends })).toEqual([
      expect.stringMatching(/^replicate\.rules\.0\.to: hub is backend up as well/),
    ]);
    expect(problems(to('b/*'), { backends })).toEqual([]);
  });

  test('an index that knows no origins has nothing to send', () => {
    expect(problems({ remotes: { west } }, { origins: undefined })).toEqual([
      expect.stringMatching(/^replicate: .*name them in `origins`/),
    ]);
  });

  test('whatever the store is', () => {
    const backends = [{ name: 'main', repositories: [], s3: { bucket: 'tags', region: 'eu-central-1' } }];
    const store = { kind: 'bucket', backend: 'main' };
    expect(problems({ remotes: { west } }, { backends, store })).toEqual([]);
  });
});

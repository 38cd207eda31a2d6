/** Members as DNS tells of them, from a real server: what is believed, and what is not. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ListedMember } from '../list.ts';
import { sourceOf } from '../source.ts';
import { DnsAsker } from './ask.ts';
import { type FollowOptions, followList } from './followed.ts';
import { namesOf, noSearch, searchIn } from './search.ts';
import { TestDns } from './server.fixtures.ts';

let stack: AsyncDisposableStack;
let dns: TestDns;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  dns = stack.use(await TestDns.start());
});
afterEach(() => stack.disposeAsync());

const headless = 'dns+http://origin.shoal.svc:15002';

function followed(entries: readonly string[], o: Partial<FollowOptions> = {}) {
  const lines: string[] = [];
  const log = {
    info: (_: object, text: string) => lines.push(text),
    warn: (_: object, text: string) => lines.push(text),
  };
  const asks: string[] = [];
  const asker = new DnsAsker({ servers: [dns.address], search: noSearch });
  const onAsked = (_: string, how: string): void => void asks.push(how);
  return { lines, asks, list: followList(entries, { asker, refreshMs: 100, log, onAsked, ...o }, stack) };
}

describe('an entry of a list', () => {
  test.each([
    ['http://10.0.0.1:15002', 'url'],
    ['dns+http://shoal-origin:15002', 'addresses'],
    ['dns+https://origin.shoal.svc.cluster.local./shoal', 'addresses'],
    ['srv+http://_api._tcp.shoal-origin.shoal.svc', 'services'],
  ])('%s is read', (text, kind) => expect(sourceOf(text)?.kind).toBe(kind));

  test.each([
    'dns+http://10.0.0.1:15002',
    'dns+http://[::1]:1',
    'dns+http://a b:1',
    'dns+http://name:0',
    'dns+http://name:65536',
    'dns+http://user@name:1',
    'dns+http://name:1?x',
    'srv+http://_api._tcp.name:15002',
    'srv+http://name',
    'dns+ftp://name:1',
    'ftp://name:1',
  ])('%s is none', (text) => expect(sourceOf(text)).toBeUndefined());

  test('a name is searched as resolvers do', () => {
    const search = searchIn(
      'nameserver 10.0.0.1\nsearch ns.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n',
    );
    expect(namesOf('shoal-origin', search)).toEqual([
      ...['shoal-origin.ns.svc.cluster.local', 'shoal-origin.svc.cluster.local', 'shoal-origin.cluster.local'],
      'shoal-origin',
    ]);
    expect(namesOf('a.b.c.d.e.f', search)[0]).toBe('a.b.c.d.e.f');
    expect(namesOf('shoal-origin.', search)).toEqual(['shoal-origin']);
    expect(namesOf('a.b', searchIn('# nothing\n'))).toEqual(['a.b']);
  });
});

describe('a list of DNS', () => {
  test('has a member at each address, A and AAAA, is called by the name, and follows what changes', async () => {
    dns.addresses('origin.shoal.svc', ['10.0.0.2', '10.0.0.1', 'fd00::1']);
    const list = await followed([headless, 'http://10.9.9.9:1']).list;
    expect(list.urls).toEqual([
      ...['http://10.9.9.9:1', 'http://10.0.0.1:15002', 'http://10.0.0.2:15002', 'http://[fd00::1]:15002'],
    ]);
    expect([list.about?.('http://10.0.0.1:15002')?.host, list.about?.('http://10.9.9.9:1')?.host]).toEqual([
      'origin.shoal.svc:15002',
      undefined,
    ]);
    let changes = 0;
    using _listening = list.onChange(() => changes++);
    dns.addresses('origin.shoal.svc', ['10.0.0.2', '10.0.0.3'], 0);
    list.doubt?.();
    const now = ['http://10.9.9.9:1', 'http://10.0.0.2:15002', 'http://10.0.0.3:15002'];
    await expect.poll(() => list.urls, { timeout: 8_000 }).toEqual(now);
    expect(changes).toBe(1);
  });

  test('of services has ports, weights and priorities of its own', async () => {
    dns.services('_api._tcp.origin.svc', [
      { target: 'one.origin.svc', port: 15_002, weight: 10, priority: 0 },
      { target: 'two.origin.svc', port: 15_003, weight: 0, priority: 5 },
    ]);
    const list = await followed(['srv+https://_api._tcp.origin.svc']).list;
    expect(list.urls.map((url) => list.about?.(url))).toEqual([
      { url: 'https://one.origin.svc:15002', weight: 10, priority: 0 },
      { url: 'https://two.origin.svc:15003', weight: 1, priority: 5 },
    ]);
  });

  test('holds for as long as its answers say, when nobody doubts it', async () => {
    dns.addresses('origin.shoal.svc', ['10.0.0.1'], 30);
    await followed([headless]).list;
    const { asked } = dns;
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(dns.asked).toBe(asked);
    dns.addresses('brief', ['10.0.0.1'], 0);
    const { asks } = followed(['dns+http://brief:1']);
    await expect.poll(() => asks.length).toBeGreaterThan(2);
  });

  // As many as an answer of DNS can carry.
  const many = Array.from({ length: 1_900 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
  const behave = (behaviour: TestDns['behaviour']) => (): void => {
    dns.behaviour = behaviour;
  };
  const wrongs: [string, string, () => void][] = [
    ['empty', 'is empty: the name is gone', () => void dns.zone.delete('origin.shoal.svc')],
    ['empty', 'is empty: the name has no address', () => void dns.zone.set('origin.shoal.svc', [])],
    ['too-many', 'has 1,900 members', () => dns.addresses('origin.shoal.svc', many, 0)],
    ['wrong', 'is garbage', behave('garbage')],
    ['failed', 'is refused', behave('refuses')],
    ['timeout', 'does not come', behave('nothing')],
  ];
  test.each(wrongs)(
    'an answer that is no list (%s) and %s changes nothing: one line when it begins, and one when it is over',
    async (why, _what, spoil) => {
      dns.addresses('origin.shoal.svc', ['10.0.0.1', '10.0.0.2'], 0);
      const { lines, asks, list } = followed([headless]);
      const before = [...(await list).urls];
      spoil();
      await expect.poll(() => asks.filter((how) => how === why).length, { timeout: 15_000 }).toBeGreaterThan(1);
      expect((await list).urls).toEqual(before);
      expect(lines.filter((line) => line.startsWith('DNS'))).toEqual([
        'DNS does not tell who is there: the last list stays',
      ]);
      dns.behaviour = 'answers';
      dns.addresses('origin.shoal.svc', ['10.0.0.7'], 0);
      await expect.poll(async () => (await list).urls, { timeout: 15_000 }).toEqual(['http://10.0.0.7:15002']);
      expect(lines.filter((line) => line.startsWith('DNS')).at(-1)).toBe('DNS tells again who is there');
    },
    40_000,
  );

  test('of services at no host, or port 0, is refused whole', async () => {
    dns.services('_api._tcp.x', [{ target: 'one', port: 1 }]);
    const { list, asks } = followed(['srv+http://_api._tcp.x']);
    const { urls } = await list;
    dns.services('_api._tcp.x', [
      { target: 'one', port: 0 },
      { target: 'two', port: 2 },
    ]);
    await expect.poll(() => asks.includes('wrong'), { timeout: 8_000 }).toBe(true);
    expect((await list).urls).toEqual(urls);
  });

  test('a start while no resolver answers begins with what was known before, soon', async () => {
    dns.behaviour = 'nothing';
    const kept: ListedMember[] = [{ url: 'http://10.0.0.1:15002', weight: 1, priority: 0 }];
    const written: [string, readonly ListedMember[]][] = [];
    const memory = {
      read: (source: string) => (source === headless ? kept : undefined),
      write: (source: string, members: readonly ListedMember[]) => void written.push([source, members]),
    };
    const beganMs = performance.now();
    const list = await followed([headless], { memory }).list;
    expect(performance.now() - beganMs).toBeLessThan(4_500);
    expect(list.urls).toEqual(['http://10.0.0.1:15002']);
    dns.behaviour = 'answers';
    dns.addresses('origin.shoal.svc', ['10.0.0.9'], 0);
    await expect.poll(() => list.urls, { timeout: 15_000 }).toEqual(['http://10.0.0.9:15002']);
    expect(written.map(([source, members]) => [source, members.map(({ url }) => url)])).toEqual([
      [headless, ['http://10.0.0.9:15002']],
    ]);
  }, 30_000);

  test('a family that cannot be asked keeps its addresses while the other answers', async () => {
    dns.addresses('both', ['10.0.0.1', 'fd00::1'], 0);
    const asker = new DnsAsker({ servers: [dns.address], search: noSearch });
    const source = sourceOf('dns+http://both:1');
    if (source === undefined || source.kind === 'url') return expect.unreachable();
    expect((await asker.ask(source)).members).toHaveLength(2);
    dns.addresses('both', ['10.0.0.1'], 0);
    expect((await asker.ask(source)).members).toHaveLength(1);
  });
});

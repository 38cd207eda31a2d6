import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { ReconcileReply } from '../../core/contracts/reconcile.ts';
import type { Digest } from '../../core/digest.ts';
import { Failure } from '../failure.ts';
import { type ReconcileOptions, reconcile } from './reconcile.ts';
import { answering } from './steps.fixtures.ts';
import { indexOfConfig } from './steps.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const digest = `sha256:${'1'.repeat(64)}` as Digest;
const reply = (more: Partial<ReconcileReply>): ReconcileReply => ({ looked: 0, changes: [], broken: [], ...more });
const tag = { kind: 'tag', repo: 'a/b', name: 'v1' } as const;

async function ran(url: string, more: Partial<ReconcileOptions> = {}) {
  const [lines, screen]: [string[], string[]] = [[], []];
  const options: ReconcileOptions = {
    index: url,
    apply: false,
    json: false,
    signal: new AbortController().signal,
    screen: { write: (text) => screen.push(text) },
    ...more,
  };
  const error = await reconcile(options, (line) => lines.push(line)).then(
    () => undefined,
    (failure: unknown) => failure,
  );
  return { lines, error };
}

test('steps are made until there is no next; each change is a line, the sums the last; nothing is changed but with --apply', async () => {
  const { url, asked } = await answering(stack, [
    reply({ looked: 5, changes: [{ ...tag, how: 'added', digest }], next: 'main:x' }),
    reply({ looked: 2, changes: [{ ...tag, name: 'old', how: 'removed', digest: null }] }),
  ]);
  const { lines, error } = await ran(url, { repository: 'a/**' });
  expect(error).toBeUndefined();
  expect(lines).toEqual([
    `added   tag      a/b:v1  ${digest}`,
    'removed tag      a/b:old',
    '7 keys: 1 added, 0 moved, 1 removed, 0 broken (nothing was changed: --apply does it)',
  ]);
  expect(asked.map(({ apply, from, repositories }) => [apply, from, repositories])).toEqual([
    [false, undefined, 'a/**'],
    [false, 'main:x', 'a/**'],
  ]);
  const again = await answering(stack, [reply({ looked: 7, changes: [{ ...tag, how: 'moved', digest }] })]);
  const applied = await ran(again.url, { apply: true, json: true, after: 'main:y' });
  expect(applied.lines.map((line) => JSON.parse(line))).toEqual([
    { ...tag, how: 'moved', digest },
    { applied: true, looked: 7, added: 0, moved: 1, removed: 0, broken: 0 },
  ]);
  expect(again.asked).toMatchObject([{ apply: true, from: 'main:y' }]);
});

test('what is broken is named, and is a failure in the end', async () => {
  const { url } = await answering(stack, [
    reply({ looked: 1, broken: [{ ...tag, why: 'main: its manifest is \x1b[2J\r\nnot there' }], next: 'main:x' }),
    reply({ looked: 1, changes: [{ ...tag, how: 'added', digest }] }),
  ]);
  const { lines, error } = await ran(url);
  expect(lines[0]).toBe('broken  tag      a/b:v1  main: its manifest is \\u{1b}[2J\\u{d}\\u{a}not there');
  expect(lines.at(-1)).toContain('1 added, 0 moved, 0 removed, 1 broken');
  expect(error).toBeInstanceOf(Failure);
});

test('a step that fails is made again; where that does not help, it is said where to go on', async () => {
  const helped = await answering(stack, [reply({ looked: 1, next: 'main:x' }), null, reply({ looked: 1 })]);
  expect(await ran(helped.url)).toMatchObject({ error: undefined });
  expect(helped.asked.map(({ from }) => from)).toEqual([undefined, 'main:x', 'main:x']);
  const signal = AbortSignal.timeout(500);
  const stopped = await answering(stack, [null]);
  expect((await ran(stopped.url, { signal })).error).toMatchObject({ name: expect.stringMatching(/Timeout|Abort/) });
  const { error } = await ran('http://127.0.0.1:1', { after: 'main:x' });
  expect(error).toMatchObject({ message: expect.stringContaining("go on later with --after 'main:x'") });
}, 60_000);

test('the index of a configuration is where that says it listens, seen from its own host', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-reconcile-'));
  stack.defer(() => rm(dir, { recursive: true }));
  const file = join(dir, 'index.yaml');
  const of = async (text: string): Promise<string> => {
    await writeFile(file, text);
    return indexOfConfig(file, { PORT: '7' });
  };
  expect(await of('role: index\nlisten: { host: 10.0.0.7, port: 5 }\n')).toBe('http://10.0.0.7:5');
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the environment's, as a configuration says it.
  expect(await of('listen: { host: 0.0.0.0, port: "${PORT}" }\n')).toBe('http://127.0.0.1:7');
  expect(await of('listen: { host: "fd00::1", port: 5 }\n')).toBe('http://[fd00::1]:5');
  expect(await of('data: /x\n')).toBe('http://127.0.0.1:15004');
  expect(() => indexOfConfig(join(dir, 'none.yaml'), {})).toThrow('none.yaml');
});

import { afterEach, expect, test } from 'vitest';
import type { ReconcileReply } from '../../core/contracts/reconcile.ts';
import type { Digest } from '../../core/digest.ts';
import { Failure } from '../failure.ts';
import { type ImportOptions, importFrom } from './import.ts';
import { answering } from './steps.fixtures.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const digest = `sha256:${'1'.repeat(64)}` as Digest;
const reply = (more: Partial<ReconcileReply>): ReconcileReply => ({ looked: 0, changes: [], broken: [], ...more });
const tag = { kind: 'tag', repo: 'a/b', name: 'v1' } as const;

async function ran(url: string, more: Partial<ImportOptions> = {}) {
  const [lines, screen]: [string[], string[]] = [[], []];
  const options: ImportOptions = {
    index: url,
    backend: 'main',
    apply: false,
    overwrite: false,
    json: false,
    signal: new AbortController().signal,
    screen: { write: (text) => screen.push(text) },
    ...more,
  };
  const error = await importFrom(options, (line) => lines.push(line)).then(
    () => undefined,
    (failure: unknown) => failure,
  );
  return { lines, error, screen: screen.join('') };
}

test('each step is asked of one backend; changes, and then the sums, with what no scheme made', async () => {
  const { url, asked } = await answering(stack, [
    reply({
      looked: 5,
      tags: 1,
      changes: [{ ...tag, how: 'added', digest }],
      foreign: { count: 3, names: ['x', 'y\n'] },
      next: 'main:x',
    }),
    reply({ looked: 2, tags: 1, foreign: { count: 30, names: Array.from({ length: 20 }, (_, i) => `z${i}`) } }),
  ]);
  const { lines, error } = await ran(url, { repository: 'a/**', overwrite: true });
  expect(error).toBeUndefined();
  expect(lines).toEqual([
    `added   tag      a/b:v1  ${digest}`,
    '7 keys, 2 tags: 1 added, 0 moved, 0 removed, 0 broken (nothing was changed: --apply does it)',
    expect.stringMatching(
      /^33 objects that are no blob and no tag by the rule's `keys`, left as they are: x, y\\u\{a\}, z0, .*z17, and 13 more$/,
    ),
  ]);
  const each = { apply: false, repositories: 'a/**', import: { backend: 'main', overwrite: true } };
  expect(asked).toMatchObject([each, { ...each, from: 'main:x' }]);
});

test('what is broken, and what rests elsewhere, is named once, and is a failure in the end', async () => {
  const { url } = await answering(stack, [
    reply({
      looked: 1,
      broken: [{ ...tag, why: 'main: it is not there' }],
      refused: [{ repo: 'c', backend: 'other' }],
      next: 'main:x',
    }),
    reply({ looked: 1, tags: 1, refused: [{ repo: 'c', backend: 'other' }, { repo: 'd' }] }),
  ]);
  const { lines, error } = await ran(url, { apply: true });
  expect(lines).toEqual([
    'broken  tag      a/b:v1  main: it is not there',
    'refused repo     c  rests in backend other by the rules, where its blobs are not',
    'refused repo     d  rests in no backend by the rules, where its blobs are not',
    '2 keys, 1 tags: 0 added, 0 moved, 0 removed, 1 broken',
  ]);
  expect(error).toBeInstanceOf(Failure);
  expect(error).toMatchObject({ message: expect.stringMatching(/^1 of what .*; 2 repositories were left out/) });
});

test('as JSON, an object a line, the sums last', async () => {
  const { url } = await answering(stack, [
    reply({
      looked: 3,
      tags: 2,
      changes: [{ ...tag, how: 'moved', digest }],
      refused: [{ repo: 'c' }],
      foreign: { count: 1, names: ['x'] },
    }),
  ]);
  const { lines } = await ran(url, { json: true, apply: true });
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { ...tag, how: 'moved', digest },
    { kind: 'repository', repo: 'c', refused: null },
    {
      applied: true,
      looked: 3,
      tags: 2,
      added: 0,
      moved: 1,
      removed: 0,
      broken: 0,
      refused: 1,
      foreign: { count: 1, names: ['x'] },
    },
  ]);
});

test('ended by its user, it says where to go on; without any tag, what to look at; on a terminal, how far it is', async () => {
  const first = reply({ looked: 400, tags: 7, next: 'main:a' });
  const { url } = await answering(stack, [first, null]);
  const stopped = await ran(url, { signal: AbortSignal.timeout(600) });
  expect(stopped.error).toMatchObject({ name: expect.stringMatching(/Timeout|Abort/) });
  expect(stopped.screen).toContain("go on later with --after 'main:a'");
  const none = await answering(stack, [reply({ looked: 9 })]);
  expect((await ran(none.url)).lines.at(-1)).toContain('no tag was found: see whether prefix and `keys`');
  const going = await answering(stack, [first, reply({})]);
  const screen: string[] = [];
  await ran(going.url, { screen: { isTTY: true, write: (text) => screen.push(text) } });
  expect(screen[0]).toMatch(/400 keys, 7 tags, 0 added, 0 moved, 0 removed, 0 broken, \d+ keys\/s$/);
  expect(screen[0]?.startsWith('\r\x1b[K')).toBe(true);
});

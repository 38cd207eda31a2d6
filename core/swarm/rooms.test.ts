/**
 * The rooms: who may import whom, and who may write what. The compiler holds the second, as the lines below show that
 * do not compile; here it is held that nobody goes round it. Each rule is shown to fail on a planted file.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { State } from './records/state.ts';

type File = { readonly path: string; readonly text: string };

/** From the bottom up; '' is the face. A room imports its own files and those of rooms before it. */
const rooms = ['records', 'feeding', 'pulling', 'graph', ''];
/** Of the face, what every room may import: names, and numbers. */
const common = ['types.ts', 'limits.ts'];
const roomOf = (path: string): string => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '');

const root = fileURLToPath(new URL('.', import.meta.url));
const files: readonly File[] = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && !path.startsWith('testing'))
  .map((path) => ({ path, text: readFileSync(root + path, 'utf8') }));

/** What a file imports of core/swarm, as paths in it. */
function imports({ path, text }: File): string[] {
  return [...text.matchAll(/from '(\.[^']+)'/g)]
    .map(([, to]) => posix.normalize(posix.join(posix.dirname(path), to!)))
    .filter((to) => !to.startsWith('..'));
}

const upward = (file: File): string[] =>
  imports(file)
    .filter((to) => !common.includes(to) && rooms.indexOf(roomOf(to)) > rooms.indexOf(roomOf(file.path)))
    .map((to) => `${file.path} imports ${to}`);

/** `Ours` is for the `ours.ts` of each room, and that for its room; `records/` writes through the methods of its classes. */
const borrowed = (file: File): string[] => [
  ...imports(file)
    .filter((to) => /(^|\/)ours\.ts$/.test(to) && to !== 'records/ours.ts' && roomOf(to) !== roomOf(file.path))
    .map((to) => `${file.path} writes as ${to}`),
  ...(/\bOurs\b/.test(file.text) && !/(^|\/)ours\.ts$/.test(file.path) && roomOf(file.path) !== 'records'
    ? [`${file.path} says Ours`]
    : []),
];

const only = (pattern: RegExp, paths: readonly string[], what: string) => (file: File) =>
  pattern.test(file.text) && !paths.includes(file.path) ? [`${file.path}: ${what}`] : [];

const rules: readonly [string, (file: File) => string[], File][] = [
  ['imports point down', upward, { path: 'feeding/x.ts', text: "import { pump } from '../pulling/puller.ts';" }],
  [
    'a room writes its own records only',
    borrowed,
    { path: 'graph/x.ts', text: "import type { OurPullingBlob } from '../pulling/ours.ts';" },
  ],
  [
    'no file writes by itself',
    borrowed,
    { path: 'graph/x.ts', text: "import type { Ours } from '../records/ours.ts';" },
  ],
  [
    'links end in one place',
    only(/kind: 'close'[^}]*whose/, ['graph/links.ts', 'types.ts'], 'closes a link'),
    { path: 'pulling/x.ts', text: "state.out.push({ kind: 'close', link, why, whose: 'fault' });" },
  ],
  [
    'conclusions about a feeder are drawn in one place',
    only(
      /\bopinion\b/,
      ['pulling/trust.ts', 'records/records.ts', 'records/parts.ts'],
      'looks at what is thought of a feeder',
    ),
    { path: 'pulling/x.ts', text: "if (link.feeder.opinion.kind === 'proven') return;" },
  ],
  [
    'a state changes by its table',
    only(/\.(state|stage) = (?!next\()/, [], 'sets a state'),
    { path: 'graph/x.ts', text: "ours.state = 'open';" },
  ],
];

test.each(rules)('%s', (_, rule, planted) => {
  expect(files.length).toBeGreaterThan(30);
  expect(files.flatMap(rule)).toEqual([]);
  expect(rule(planted)).not.toEqual([]);
});

/** Never called: `npm run check` fails where one of these compiles. */
void writesNothing;
function writesNothing({ down, up, graph, blobs }: State): void {
  const blob = blobs[0]!;
  const link = graph.links.get(0)!;
  // @ts-expect-error pulling/ counts what is open.
  blob.pulling.openCount += 1;
  // @ts-expect-error and keeps what is, by piece.
  blob.pulling.open[0] = 1;
  // @ts-expect-error and who has what of it.
  blob.pulling.holdings.counts[0] = 1;
  // @ts-expect-error feeding/ knows who would take something.
  blob.feeding.takers = 0;
  // @ts-expect-error and its sinks.
  blob.feeding.sinks.length = 0;
  // @ts-expect-error and what each of them wants.
  blob.feeding.sinks[0]!.count = 1;
  // @ts-expect-error graph/ keeps the edges.
  blob.graph.edges.pop();
  // @ts-expect-error A blob's stage changes by its methods.
  blob.stage = 'gone';
  // @ts-expect-error The node as a whole: pulling/ counts what is on its way,
  down.inPieces = 0;
  // @ts-expect-error feeding/ what it has granted,
  up.load = 0;
  // @ts-expect-error graph/ has the links,
  graph.links.delete(0);
  // @ts-expect-error and says how they are.
  link.state = 'closed';
}

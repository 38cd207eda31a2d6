/** The tables of life.ts: what they draw, and that nothing else happens. */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Bug } from '../../../core/assert.ts';
import { ApiError } from '../../../core/contracts/errors.ts';
import { digestOf } from '../../../core/digest.ts';
import { type PartEnd, type PartState, partLife, waitEnds } from './life.ts';
import { Part } from './part.ts';

type Row = { readonly from: PartState; readonly end: PartEnd; readonly to: PartState; readonly when: string };

const states = Object.keys(partLife) as PartState[];
const rows: Row[] = states.flatMap((from) =>
  Object.entries(partLife[from].ends).map(([end, { to, when, ...rest }]) => {
    const { unusedMs: ms } = rest as { unusedMs?: number | 'linger' };
    const long = ms === undefined ? '' : ms === 'linger' ? ', for `pull.linger`' : `, for ${ms / 1000} s`;
    return { from, end: end as PartEnd, to, when: `${when}${long}` };
  }),
);
const table = (head: readonly string[], lines: readonly (readonly string[])[]): string[] =>
  [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`);

/** As docs/pull.md has it. */
function drawn(): string {
  const arrows = states.flatMap((from) =>
    states.flatMap((to) => {
      const ends = rows.filter((row) => row.from === from && row.to === to).map((row) => row.end);
      return ends.length === 0 ? [] : [`    ${from} --> ${to}: ${ends.join(', ')}`];
    }),
  );
  return [
    '```mermaid',
    'stateDiagram-v2',
    '    [*] --> seeking',
    ...arrows,
    '```',
    '',
    ...table(
      ['state', 'ends as', 'and is then', 'when'],
      [...Map.groupBy(rows, ({ end, to, when }) => `\`${end}\` | ${to} | ${when}`)].map(([line, same]) => [
        same.map(({ from }) => from).join(', '),
        line,
      ]),
    ),
    '',
    ...states.map((state) => `- **${state}**: ${partLife[state].means}.`),
    '',
    ...table(
      ['who waits for', 'is told', 'when'],
      Object.values(waitEnds).map(({ of, code, when, ms }) => [of, code, `${when} ${ms / 1000} s`]),
    ),
  ].join('\n');
}

test('docs/pull.md draws what the code goes by', () => {
  const text = readFileSync(new URL('../../../docs/pull.md', import.meta.url), 'utf8');
  const [, between] = text.split(/<!-- life\.ts: begin -->\n|\n<!-- life\.ts: end -->/);
  expect(between, 'put this between the two marks of docs/pull.md').toBe(drawn());
});

const digest = digestOf('sha256', '0'.repeat(64));
const lingerMs = 10_000;
const host = {
  lingerMs,
  nowMs: () => 0,
  readerAt: () => undefined,
  readerGone: () => undefined,
  waits: () => undefined,
};

/** One in that state, by the shortest way there. */
function partIn(state: PartState): Part {
  const ways: Record<PartState, readonly PartEnd[]> = {
    seeking: [],
    storing: ['inlined'],
    growing: ['grows'],
    pulling: ['learned'],
    held: ['opened'],
    whole: ['found'],
    ended: ['stopped'],
  };
  const part = new Part(digest, { pulls: true, given: false }, host);
  for (const end of ways[state]) part.go(end);
  return part;
}

test.each(states)('%s is left in its own ways, and in no other', (state) => {
  const ends = new Set(rows.map((row) => row.end));
  for (const end of ends) {
    const part = partIn(state);
    const row = rows.find((one) => one.from === state && one.end === end);
    if (row === undefined) expect(() => part.go(end), end).toThrow(Bug);
    else part.go(end);
    expect(part.state, end).toBe(row?.to ?? state);
  }
});

test('every state is reached from the first one, and every way out of it leads to an end', () => {
  const from = (start: PartState): Set<PartState> => {
    const reached = new Set([start]);
    for (const state of reached) for (const row of rows) if (row.from === state) reached.add(row.to);
    return reached;
  };
  expect([...from('seeking')].sort()).toEqual([...states].sort());
  for (const state of states) expect(from(state).has('ended') || state === 'whole', state).toBe(true);
});

test('what nobody uses ends by itself where the table has a time for it, and only there', () => {
  for (const state of states) {
    const ends = Object.entries(partLife[state].ends) as [PartEnd, { unusedMs?: number | 'linger' }][];
    const timed = ends.find(([, { unusedMs }]) => typeof unusedMs === 'number');
    const ms = Number(timed?.[1].unusedMs ?? 0);
    const part = partIn(state);
    expect(part.unused(ms), state).toBeUndefined();
    expect(part.unused(ms + 1e9), state).toBe(timed?.[0]);
    part.usedMs = 1e9;
    expect(part.unused(1e9 + ms), state).toBeUndefined();
    // What was read ends sooner, where it has not come whole.
    part.use()[Symbol.dispose]();
    const lingers = ends.some(([, { unusedMs }]) => unusedMs === 'linger');
    expect(part.unused(lingerMs), state).toBeUndefined();
    expect(part.unused(lingerMs + 1), state).toBe(lingers ? 'unwanted' : undefined);
  }
});

test('a part that has ended stays so: it fails once', () => {
  const part = partIn('seeking');
  part.fail('forgotten', new ApiError('UNAVAILABLE', 'nobody waits'));
  expect(() => part.fail('stopped', new ApiError('UNAVAILABLE', 'again'))).toThrow(Bug);
});

/** What waits for others, and what was brought where, as entries of a move (platform/tags/move). */

import type { Change, Entries } from '../../move/entries.ts';
import type { OutboxKey } from '../../outbox.ts';
import { numberOf } from '../../versions.ts';
import type { Cells } from '../cells/cells.ts';
import type { FailureSaid } from '../cells/values.ts';
import { type Failures, failureOfRow, rowName, without } from '../outbox/failures.ts';
import { outPlaceIn, outPlacesOf } from '../outbox/keys.ts';
import type { OutGroup } from '../outbox/rows.ts';
import type { BucketParts } from '../parts.ts';
import { several } from '../requests/several.ts';

type Entry = Entries['outbox'];
type Parts = Pick<BucketParts, 'rows' | 'outbox' | 'filled' | 'telling' | 'failures'>;

/** Of a row, as the engines with tables have it. */
const STATE = { waits: 0, behind: 1, dead: 2 } as const;

const plain = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

export async function* outboxEntries({ rows, outbox, failures }: Parts): AsyncGenerator<Entry> {
  const targets: string[] = [];
  for await (const target of outbox.targets()) targets.push(target);
  for (const target of targets.sort(plain)) {
    let some: OutGroup[] = [];
    for await (const group of rows.groups(target)) {
      if (some[0] !== undefined && some[0].of.repo !== group.of.repo) {
        yield* await entriesOf(some, rows, failures);
        some = [];
      }
      some.push(group);
    }
    yield* await entriesOf(some, rows, failures);
  }
}

/** Of one repository: keys are in another order than entries, where names have large letters. */
async function entriesOf(groups: readonly OutGroup[], rows: Parts['rows'], failures: Failures): Promise<Entry[]> {
  const [first] = groups;
  if (first === undefined) return [];
  const known = await failures.read(first.of);
  const looks = await several(groups, (group) => rows.look(group));
  const entries = looks.flatMap(({ row }): Entry[] => {
    if (row === undefined) return [];
    const last = failureOfRow(known, row);
    const failure = last?.version === row.version ? last : undefined;
    const { attempts = 0, dueMs = row.dueMs, cause = null, dead = false } = failure ?? {};
    return [{ ...row, slot: row.slot ?? 0, attempts, dueMs, cause, state: dead ? STATE.dead : STATE.waits }];
  });
  entries.sort((a, b) => a.slot - b.slot || plain(a.kind, b.kind) || plain(a.name, b.name));
  const head = entries.find(({ slot, state }) => slot > 0 && state === STATE.waits);
  return entries.map((one) =>
    one.slot > 0 && one.state === STATE.waits && one !== head ? { ...one, state: STATE.behind } : one,
  );
}

export async function* broughtEntries(cells: Cells): AsyncGenerator<Entries['brought']> {
  const all: Entries['brought'][] = [];
  for await (const { key, live } of cells.keys(outPlacesOf('filled'))) {
    const place = live ? outPlaceIn(key) : undefined;
    if (place !== undefined) all.push(place);
  }
  for (const { repo, target } of all.sort((a, b) => plain(a.repo, b.repo) || plain(a.target, b.target)))
    yield { repo, target };
}

export async function writeBrought(
  { filled }: Parts,
  { repo, target }: Entries['brought'],
  how: Change['how'],
): Promise<void> {
  await filled.set({ target, repo }, how !== 'remove');
}

export async function writeOutbox({ rows, telling, failures }: Parts, entry: Entry, how: Change['how']): Promise<void> {
  const { target, repo, kind, name, slot, version, digest, sinceMs } = entry;
  const of: OutboxKey = { target, repo, kind, name, ...(slot > 0 ? { slot } : {}) };
  const { marks } = how === 'add' ? { marks: [] } : await rows.of(of);
  const every = slot > 0 ? { said: { version, digest } } : {};
  if (how !== 'remove') await telling.queue(of, { no: numberOf(version), atMs: sinceMs, ...every });
  await rows.remove(marks);
  const { attempts, dueMs, cause, state } = entry;
  const failed: FailureSaid[] =
    how === 'remove' || cause === null
      ? []
      : [{ row: rowName(of), version, attempts, dueMs, cause, dead: state === STATE.dead }];
  if (how !== 'add' || failed.length > 0)
    await failures.change({ target, repo }, (found) => [...failed, ...without(found, of)]);
}

/** `shoal origin queue ls|retry|drop`: what an origin has promised to write to its backends, and what became of it. */

import type { QueuedRow } from '../../../core/contracts/queue.ts';
import { CallContext } from '../../../platform/clients/context.ts';
import { ageText, bytesText, foreignText } from '../../ui/format.ts';
import type { OriginOptions } from './blobs.ts';
import { OriginAdminClient } from './client.ts';

export type QueueShown = {
  readonly dead: boolean;
  readonly backend: string | undefined;
  /** Only what each backend waits for in all. */
  readonly sums: boolean;
};

export async function listQueue(
  { dead, backend, sums }: QueueShown,
  { origin, json, signal, screen }: OriginOptions,
  say: (line: string) => void,
): Promise<void> {
  await using admin = new OriginAdminClient(origin);
  const call = CallContext.begin({ signal });
  if (!sums) {
    let some = false;
    for await (const row of admin.queue({ lane: backend, dead: dead || undefined }, call)) {
      some = true;
      say(json ? JSON.stringify(row) : rowText(row, Date.now()));
    }
    // Not a row: what counts lines counts none.
    if (!some && !json) screen.write(dead ? 'nothing is dead\n' : 'nothing is owed to a backend\n');
    return;
  }
  for (const lane of await admin.lanes(call)) {
    if (json) say(JSON.stringify(lane));
    else {
      const { waiting, bytes, oldestMs, causes } = lane;
      const oldest = oldestMs === undefined ? '' : `, the oldest for ${ageText(Date.now() - oldestMs)}`;
      const why = causes.map(({ cause, rows }) => `${rows} ${cause}`);
      const failed = why.length === 0 ? '' : `; failed: ${why.join(', ')}`;
      const lost = lane.lost === undefined ? '' : `, ${lane.lost} never told of, as it was full`;
      say(`${lane.lane}: ${waiting} waiting (${bytesText(bytes)}${oldest}), ${lane.dead} dead${lost}${failed}`);
    }
  }
}

/** The line that tells how many. */
export async function changeQueue(
  act: 'retry' | 'drop',
  key: string | undefined,
  { origin, json, signal }: OriginOptions,
): Promise<string> {
  await using admin = new OriginAdminClient(origin);
  const rows = await admin.changeQueue(act, { key }, CallContext.begin({ signal }));
  if (json) return JSON.stringify({ rows });
  return act === 'retry' ? `${rows} are tried again` : `${rows} dropped: they will not be written there`;
}

function rowText({ key, bytes, addedMs, dueMs, attempts, cause, message, dead }: QueuedRow, nowMs: number): string {
  const next = dead ? 'dead' : dueMs > nowMs ? `again in ${ageText(dueMs - nowMs)}` : 'due';
  const why = message === '' ? '' : `: ${foreignText(message)}`;
  const last = cause === '' ? '' : `  ${cause}${why}`;
  // What is no blob has none.
  const size = bytes === 0 ? '' : `  ${bytesText(bytes)}`;
  return `${key}${size}  for ${ageText(nowMs - addedMs)}  ${attempts} failed  ${next}${last}`;
}

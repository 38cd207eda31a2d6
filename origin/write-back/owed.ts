/** What this origin owes a backend: a blob that somebody was told is safe, as a row of the queue. */

import { byteCount, digest, repository } from '../../core/contracts/fields.ts';
import { owedMax } from '../../core/contracts/origin.ts';
import { optional, parse, record, text } from '../../core/contracts/parse.ts';
import type { Digest } from '../../core/digest.ts';
import { type Backed, placeOf } from '../../platform/backends/backends.ts';
import type { Queue } from '../../platform/queue/queue.ts';
import type { NewRow, Row } from '../../platform/queue/row.ts';

export type Owed = {
  readonly digest: Digest;
  readonly size: number;
  /** Through which it came first; undefined: a caller of a release before named none. */
  readonly repo: string | undefined;
  /** The backend's name. */
  readonly backend: string;
};

/** Characters of a backend's name. */
const nameMax = 256;
const owed = record({ digest, size: byteCount, repo: optional(repository), backend: text(nameMax) });

/** Of one blob and one backend there is one row, whatever the repositories, but where the backend tells them apart. */
export function keyOf(backed: Backed, { digest: of, repo }: Pick<Owed, 'digest' | 'repo'>): string {
  return `${backed.name} ${placeOf(backed, of, repo)}`;
}

export function rowOf(backed: Backed, one: Owed): NewRow {
  return {
    key: keyOf(backed, one),
    lane: one.backend,
    about: one.digest,
    bytes: one.size,
    data: JSON.stringify(one),
  };
}

/** Through which repositories a blob is owed, as a row each says; empty: none is known. Undefined: there is no queue. */
export function owedBy(
  queue: Pick<Queue, 'list'> | undefined,
): ((of: Digest) => Promise<readonly string[]>) | undefined {
  if (queue === undefined) return undefined;
  return async (about) => {
    const { rows } = await queue.list({ about }, { max: owedMax });
    return rows.flatMap((row) => owedIn(row) ?? []).map(({ repo = '' }) => repo);
  };
}

/** undefined: a release that we do not know wrote it. */
export function owedIn({ data }: Row): Owed | undefined {
  const parsed = parse(owed, JSON.parse(data), 'the row');
  return parsed.ok ? (parsed.value as Owed) : undefined;
}

/** Of several at once: those of which anything is owed. */
export async function owedOf(
  queue: Pick<Queue, 'held' | 'list'>,
  digests: readonly Digest[],
): Promise<ReadonlyMap<Digest, readonly string[]>> {
  const held = await queue.held(digests);
  const repos = owedBy(queue);
  const owed = digests.filter((digest) => held.has(digest));
  return new Map(await Promise.all(owed.map(async (digest) => [digest, (await repos?.(digest)) ?? []] as const)));
}

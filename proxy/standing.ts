/**
 * Where an upload stands, from what its origins say. Pure.
 *
 * Origins receive the same stream at the same time, but a client that is cut, or an origin that fails,
 * leaves them at different offsets. An origin that has less than was acknowledged has lost bytes and
 * is out. One that has more than the others skips what it already holds.
 */

/** An origin's answer: its offset, `unknown` (no such upload there) or `silent` (it did not answer). */
export type Seen = number | 'unknown' | 'silent';

export type Standing =
  /** `at`: what every origin that is still good holds. `lanes`: their positions in the list. */
  | { readonly kind: 'open'; readonly at: number; readonly lanes: readonly number[] }
  /** Bytes that were acknowledged are nowhere any more. */
  | { readonly kind: 'unknown' }
  /** Some origin may have them, but does not answer. */
  | { readonly kind: 'silent' };

/** `required`: origins that must hold every byte. With fewer left that could, the upload is lost. */
export function standing(seen: readonly Seen[], acked: number, required = 1): Standing {
  const lanes: number[] = [];
  let at = Number.MAX_SAFE_INTEGER;
  seen.forEach((offset, lane) => {
    if (typeof offset !== 'number' || offset < acked) return;
    lanes.push(lane);
    at = Math.min(at, offset);
  });
  const silent = seen.filter((offset) => offset === 'silent').length;
  if (lanes.length + silent < required) return { kind: 'unknown' };
  if (lanes.length > 0) return { kind: 'open', at, lanes };
  return silent > 0 ? { kind: 'silent' } : { kind: 'unknown' };
}

/** A chunk goes to these lanes from `start` on; or it does not fit, and the upload stands `at`. */
export type Placed =
  | { readonly kind: 'fits'; readonly start: number; readonly lanes: readonly number[] }
  | { readonly kind: 'misfit'; readonly at: number };

/**
 * `start` is that of the client's Content-Range; undefined means "where we left off" (docker), which is
 * clear where all origins agree, or where the client was told of just that offset.
 */
export function place(
  seen: readonly Seen[],
  acked: number,
  start: number | undefined,
  required = 1,
): Placed | Standing {
  const now = standing(seen, acked, required);
  if (now.kind !== 'open') return now;
  const agreed = now.lanes.every((lane) => seen[lane] === now.at);
  const from = start ?? (agreed || acked === now.at ? now.at : -1);
  if (!now.lanes.some((lane) => seen[lane] === from)) return { kind: 'misfit', at: now.at };
  const lanes = now.lanes.filter((lane) => (seen[lane] as number) >= from);
  // What is missing elsewhere must come once more.
  if (lanes.length < required && now.lanes.length >= required) return { kind: 'misfit', at: now.at };
  return { kind: 'fits', start: from, lanes };
}

/** The lanes that hold most: those that can be committed when nothing more comes. */
export function fullest(seen: readonly Seen[], lanes: readonly number[]): readonly number[] {
  const most = Math.max(...lanes.map((lane) => seen[lane] as number));
  return lanes.filter((lane) => seen[lane] === most);
}

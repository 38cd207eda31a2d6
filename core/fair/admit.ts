/**
 * Who may take a place in a table that all clients share, and who gives way to them. Pure.
 *
 * Rule 1: while there is room, everybody may have all of it. Clients are told apart only when it is short.
 * Rule 2: the last part of the room is for clients that hold little: nobody fills a table alone.
 * Rule 3: what nobody uses now gives way at once; first that of the client that holds most, the longest unused
 *         of it first. Nobody loses a place to a client that holds as much as they do.
 */

/** An eighth of the places... */
const reservedShare = 1 / 8;
/** ...is for clients that hold less than a thirty-second: of 256 uploads 8, and docker pushes 5 at a time. */
const littleShare = 1 / 32;

export type FairPlace<T> = {
  readonly item: T;
  readonly client: string;
  /** When it was used last. */
  readonly usedMs: number;
  /** It may be taken away now. */
  readonly idle: boolean;
};

export type Admission<T> =
  | { readonly kind: 'room' }
  /** There is room once `item` is gone. */
  | { readonly kind: 'instead'; readonly item: T }
  | { readonly kind: 'full' };

/** Whether `client` may have one more place of `limit`, of which `places` are taken. */
export function admit<T>(places: readonly FairPlace<T>[], client: string, limit: number): Admission<T> {
  if (places.length < limit - Math.floor(limit * reservedShare)) return { kind: 'room' };
  const held = new Map<string, number>();
  for (const place of places) held.set(place.client, (held.get(place.client) ?? 0) + 1);
  const own = held.get(client) ?? 0;
  if (own < Math.max(1, Math.floor(limit * littleShare)) && places.length < limit) return { kind: 'room' };
  let best: FairPlace<T> | undefined;
  let bestHolds = 0;
  for (const place of places) {
    const holds = held.get(place.client) as number;
    if (!place.idle || (holds <= own && place.client !== client)) continue;
    if (best !== undefined && (holds < bestHolds || (holds === bestHolds && place.usedMs >= best.usedMs))) continue;
    best = place;
    bestHolds = holds;
  }
  return best === undefined ? { kind: 'full' } : { kind: 'instead', item: best.item };
}

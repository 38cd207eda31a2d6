/**
 * Connections when there are too many of them: who gives way. Loaded only then.
 *
 * Rule 1: the client that has most gives way first, its longest idle first: who has few is never cut for somebody who has many.
 * Rule 2: what an answer goes out on is not cut. Where nothing is idle, the newest of the client that has most goes.
 * Rule 3: several go at once, so that a flood is not counted anew for each of its connections.
 */

import type { Socket } from 'node:net';
import { clientOf, trustedOf } from './call.ts';

/** Of the limit, what is let go at once. */
const shareAtOnce = 1 / 32;

const nobody = trustedOf([]);

type One = Pick<Socket, 'remoteAddress'>;

/** Those of `open`, the oldest first, that are to go so that there is room for more than `max`. `busy`: not to be cut. */
export function whoGoes<S extends One>(open: Iterable<S>, max: number, busy: (socket: S) => boolean): S[] {
  const clients = new Map<string, S[]>();
  let count = 0;
  for (const socket of open) {
    const client = clientOf({ headers: {}, socket }, nobody);
    const own = clients.get(client);
    if (own === undefined) clients.set(client, [socket]);
    else own.push(socket);
    count += 1;
  }
  const groups = [...clients.values()].map((sockets) => ({
    left: sockets.length,
    sockets,
    idle: sockets.filter((one) => !busy(one)),
  }));
  const wanted = count - max + Math.ceil(max * shareAtOnce);
  const gone: S[] = [];
  for (const group of levelled(groups, wanted)) gone.push(...group.idle.slice(0, group.sockets.length - group.left));
  if (gone.length > 0 || count <= max) return gone;
  const largest = groups.toSorted((a, b) => b.sockets.length - a.sockets.length)[0];
  return largest === undefined ? [] : largest.sockets.slice(-1);
}

type Group<S> = { left: number; readonly sockets: readonly S[]; readonly idle: readonly S[] };

/** Takes `wanted` away, from the largest first, down to a level that all of these then have. */
function levelled<S>(groups: readonly Group<S>[], wanted: number): readonly Group<S>[] {
  const giving = groups.filter(({ idle }) => idle.length > 0);
  const leastOf = ({ sockets, idle }: Group<S>): number => sockets.length - idle.length;
  const takenAt = (level: number): number =>
    giving.reduce(
      (sum, group) => sum + group.sockets.length - Math.max(leastOf(group), Math.min(group.sockets.length, level)),
      0,
    );
  // The highest level at which enough are taken.
  let [low, high] = [0, giving.reduce((most, { sockets }) => Math.max(most, sockets.length), 0)];
  while (low < high) {
    const level = Math.ceil((low + high) / 2);
    if (takenAt(level) >= wanted) low = level;
    else high = level - 1;
  }
  for (const group of giving) group.left = Math.max(leastOf(group), Math.min(group.sockets.length, low));
  return giving;
}

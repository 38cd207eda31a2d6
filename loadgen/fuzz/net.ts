/** What all peers of a run share: who can be dialled, and how a connection comes about. */

import type { Digest } from '../../core/digest.ts';
import type { PolicyConfig } from '../../core/swarm/types.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import { Conn, type ConnSide } from './conn.ts';
import type { Content } from './content.ts';
import type { Process, World } from './world.ts';

/** Whoever can be dialled. */
export interface Listener {
  readonly host: number;
  readonly self: PeerAddress;
  readonly process: Process;
  /** The other end of a connection that is being made, or undefined where it is refused. */
  accept(dialler: ConnSide, make: (acceptor: ConnSide) => Conn): boolean;
}

/** What all peers of a run share. */
export type Cluster = {
  readonly world: World;
  readonly policy: PolicyConfig;
  /** By `host:port`. */
  readonly listeners: Map<string, Listener>;
  /** Every connection that was made and may be alive. */
  readonly conns: Set<Conn>;
  readonly contents: ReadonlyMap<Digest, Content>;
};

/** Makes a connection, or not, in the time that takes. Nothing is told where nothing gets through. */
export function dial(
  cluster: Cluster,
  side: ConnSide,
  peer: PeerAddress,
  o: { made: (conn: Conn) => void; refused: () => void; wanted: () => boolean },
): void {
  const { world, listeners, conns } = cluster;
  const name = `${peer.host}:${peer.port}`;
  const host = hostOf(peer.host);
  if (host === undefined) return void world.after(1, o.refused);
  if (!world.connected(side.host, host)) return;
  world.after(world.network.latencyMs(side.host, host), () => {
    const listener = listeners.get(name);
    if (!o.wanted() || !world.connected(side.host, host)) return;
    const make = (acceptor: ConnSide): Conn => {
      const conn = new Conn(world, side, acceptor);
      conns.add(conn);
      o.made(conn);
      return conn;
    };
    if (listener?.process.alive !== true || !listener.accept(side, make)) world.after(1, o.refused);
  });
}

/** `h7` is host 7. */
function hostOf(name: string): number | undefined {
  const no = /^h(\d{1,4})$/.exec(name)?.[1];
  return no === undefined ? undefined : Number(no);
}

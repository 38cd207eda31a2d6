/** What the Shoal fleet remembers of a process and of a connection between two. Data only. */

import type { Announcer } from '../../core/announce/announcer.ts';
import type { Swarm } from '../../core/swarm/swarm.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import type { SimEvent } from './events.ts';
import { Pipe, type Way } from './network.ts';

/** A connection: pieces go from the acceptor to the dialler. */
export class Link {
  readonly dialler: Node;
  readonly acceptor: Node;
  readonly diallerNo: number;
  acceptorNo = -1;
  readonly pieces: Pipe;
  readonly back: Way;
  open = true;
  constructor(dialler: Node, acceptor: Node, diallerNo: number) {
    this.dialler = dialler;
    this.acceptor = acceptor;
    this.diallerNo = diallerNo;
    this.pieces = new Pipe(acceptor.host, dialler.host);
    this.back = { src: dialler.host, dst: acceptor.host, lastArrivalMs: 0 };
  }
}

/** What of a blob is on a node's disk: outlives a crash. */
export type Disk = { readonly have: Uint8Array; learned: boolean; wanted: boolean };

/** One process, from start to crash. */
export class Node {
  readonly host: number;
  readonly address: PeerAddress;
  readonly swarm: Swarm;
  readonly announcer: Announcer | undefined;
  readonly links: (Link | undefined)[] = [];
  readonly disks: Map<number, Disk>;
  alive = true;
  busy = false;
  nextAccepted = 1;
  tick: SimEvent | undefined = undefined;
  announceTick: SimEvent | undefined = undefined;
  diskWriteMs = 0;
  diskReadMs = 0;

  constructor(
    host: number,
    address: PeerAddress,
    parts: { swarm: Swarm; announcer: Announcer | undefined; disks: Map<number, Disk> },
  ) {
    this.host = host;
    this.address = address;
    this.swarm = parts.swarm;
    this.announcer = parts.announcer;
    this.disks = parts.disks;
  }
}

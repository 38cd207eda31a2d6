/** What the Shoal fleet remembers of a process and of a connection between two. Data only. */

import type { Announcer } from '../../core/announce/announcer.ts';
import type { Swarm } from '../../core/swarm/swarm.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import type { Driver } from '../../platform/drive/driver.ts';
import { Pipe, type Way } from './network/network.ts';

/**
 * One side of a connection, and the way from it to the other side. Pieces go from the acceptor to
 * the dialler, so the acceptor's end has a pipe, on which its messages go as well.
 */
export class End implements Way {
  readonly node: Node;
  readonly src: number;
  readonly dst: number;
  readonly pieces: Pipe | undefined;
  lastArrivalMs = 0;
  /** Its number at its node; -1 before it is accepted. */
  no = -1;
  /** The last message that was sent from here: its place among those of the step of its node that sent it; -1: none. */
  said = -1;
  saidStep = -1;
  /** Something that arrives here is still heard. */
  open = false;
  /** Set once both are made. */
  other: End = this;
  constructor(node: Node, peer: Node, feeds: boolean) {
    this.node = node;
    this.src = node.host;
    this.dst = peer.host;
    this.pieces = feeds ? new Pipe(node.host, peer.host) : undefined;
  }
}

/** What of a blob is on a node's disk: outlives a crash. */
export type Disk = { readonly have: Uint8Array; learned: boolean; wanted: boolean };

/** One process, from start to crash. */
export class Node {
  readonly host: number;
  readonly address: PeerAddress;
  readonly swarm: Driver<Swarm>;
  readonly announcer: Driver<Announcer> | undefined;
  /** By number; open ones. */
  readonly ends: (End | undefined)[] = [];
  readonly disks: Map<number, Disk>;
  alive = true;
  nextAccepted = 1;
  diskWriteMs = 0;
  diskReadMs = 0;

  constructor(host: number, address: PeerAddress, parts: Pick<Node, 'swarm' | 'announcer' | 'disks'>) {
    this.host = host;
    this.address = address;
    this.swarm = parts.swarm;
    this.announcer = parts.announcer;
    this.disks = parts.disks;
  }

  end(): void {
    this.alive = false;
    this.swarm.end();
    this.announcer?.end();
  }
}

/**
 * A connection's life on the simulated network: dialled, accepted, spoken on, closed by one side or
 * cut with its process. It carries pieces from the acceptor to the dialler, messages both ways.
 */

import type { Input } from '../../core/swarm/types.ts';
import type { Message } from '../../core/wire/messages.ts';
import { messageBytes } from './contents.ts';
import { type EventQueue, SimEvent } from './events.ts';
import { CallEvent, type Network } from './network.ts';
import { Link, type Node } from './nodes.ts';

/** What connections need of the fleet: an input to a node, now. */
export type Inputs = { input(node: Node, input: Input): void };

type Said = Exclude<Message, { kind: 'piece' }>;

class MessageEvent extends SimEvent {
  readonly inputs: Inputs;
  readonly link: Link;
  readonly toDialler: boolean;
  readonly message: Said;
  constructor(inputs: Inputs, link: Link, toDialler: boolean, message: Said) {
    super();
    this.inputs = inputs;
    this.link = link;
    this.toDialler = toDialler;
    this.message = message;
  }
  run(): void {
    const { link, message } = this;
    const node = this.toDialler ? link.dialler : link.acceptor;
    const no = this.toDialler ? link.diallerNo : link.acceptorNo;
    if (node.links[no] === link) this.inputs.input(node, { kind: 'message', link: no, message });
  }
}

export class Connections {
  readonly #inputs: Inputs;
  readonly #network: Network;
  readonly #events: EventQueue;

  constructor(inputs: Inputs, network: Network) {
    this.#inputs = inputs;
    this.#network = network;
    this.#events = network.events;
  }

  /** `to` is undefined where nobody has that address any more. */
  dial(node: Node, no: number, to: Node | undefined): void {
    const { nowMs } = this.#events;
    const roundTripMs = to === undefined ? 1 : 2 * this.#network.latencyMs(node.host, to.host);
    if (to === undefined || !to.alive || !this.#network.connected(node.host, to.host)) {
      this.#at(nowMs + roundTripMs, () => this.#inputs.input(node, { kind: 'closed', link: no, why: 'refused' }));
      return;
    }
    const link = new Link(node, to, no);
    node.links[no] = link;
    // Whatever the acceptor says comes after the handshake is through.
    link.pieces.lastArrivalMs = nowMs + roundTripMs;
    this.#at(nowMs + roundTripMs / 2, () => this.#accept(link));
    this.#at(link.pieces.lastArrivalMs, () => this.#connected(link));
  }

  send(node: Node, no: number, message: Message): void {
    const link = node.links[no];
    if (link === undefined || message.kind === 'piece') return;
    const bytes = messageBytes(message);
    const toDialler = link.acceptor === node;
    const event = new MessageEvent(this.#inputs, link, toDialler, message);
    if (toDialler) this.#network.sendOn(link.pieces, bytes, event);
    else this.#network.sendInOrder(link.back, bytes, event);
  }

  /** What was sent before still arrives; then the other side hears of it. */
  close(node: Node, no: number): void {
    const link = node.links[no];
    if (link === undefined) return;
    node.links[no] = undefined;
    const toDialler = link.acceptor === node;
    const tell = new CallEvent(() => this.#closed(link, toDialler));
    if (toDialler) this.#network.sendOn(link.pieces, 0, tell);
    else {
      this.#network.close(link.pieces);
      this.#network.sendInOrder(link.back, 0, tell);
    }
  }

  /** The node's process is gone: nothing more arrives, the other side's kernel hears of it. */
  cut(node: Node, no: number): void {
    const link = node.links[no];
    if (link === undefined) return;
    node.links[no] = undefined;
    this.#network.close(link.pieces);
    const atDialler = link.acceptor === node;
    const other = atDialler ? link.dialler : link.acceptor;
    link.open = false;
    const hearsMs = this.#events.nowMs + this.#network.latencyMs(node.host, other.host);
    this.#at(hearsMs, () => this.#closed(link, atDialler));
  }

  #accept(link: Link): void {
    const { acceptor } = link;
    if (!link.open) return;
    if (!acceptor.alive) {
      const hearsMs = this.#events.nowMs + this.#network.latencyMs(acceptor.host, link.dialler.host);
      return this.#at(hearsMs, () => this.#closed(link, true));
    }
    link.acceptorNo = acceptor.nextAccepted;
    acceptor.nextAccepted += 2;
    acceptor.links[link.acceptorNo] = link;
    this.#inputs.input(acceptor, { kind: 'connected', link: link.acceptorNo, dialled: false });
  }

  #connected(link: Link): void {
    if (link.open && link.dialler.links[link.diallerNo] === link)
      this.#inputs.input(link.dialler, { kind: 'connected', link: link.diallerNo, dialled: true });
  }

  #closed(link: Link, atDialler: boolean): void {
    link.open = false;
    const node = atDialler ? link.dialler : link.acceptor;
    const no = atDialler ? link.diallerNo : link.acceptorNo;
    if (no < 0 || node.links[no] !== link) return;
    node.links[no] = undefined;
    this.#network.close(link.pieces);
    this.#inputs.input(node, { kind: 'closed', link: no, why: 'closed by the peer' });
  }

  #at(atMs: number, call: () => void): void {
    this.#events.schedule(new CallEvent(call), atMs);
  }
}

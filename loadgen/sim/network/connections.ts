/**
 * A connection's life on the simulated network: dialled, accepted, spoken on, closed by one side or
 * cut with its process. It carries pieces from the acceptor to the dialler, messages both ways.
 */

import type { Input } from '../../../core/swarm/types.ts';
import type { Message } from '../../../core/wire/messages.ts';
import { messageBytes } from '../contents.ts';
import { type Events, SimEvent } from '../events.ts';
import { End, type Node } from '../nodes.ts';
import { CallEvent, type Network, type Pipe, type Way } from './network.ts';

/** What connections need of the fleet: an input to a node, now. */
export type Inputs = { input(node: Node, input: Input): void };

type Said = Exclude<Message, { kind: 'piece' }>;

/** What one step of a node says on one connection: it leaves in one write and arrives at once. */
class MessageEvent extends SimEvent {
  readonly inputs: Inputs;
  readonly to: End;
  readonly message: Said;
  more: Said[] | undefined = undefined;
  constructor(inputs: Inputs, to: End, message: Said) {
    super();
    this.host = to.node.host;
    this.inputs = inputs;
    this.to = to;
    this.message = message;
  }
  run(): void {
    const { to, more } = this;
    if (to.open) this.inputs.input(to.node, { kind: 'message', link: to.no, message: this.message });
    if (more === undefined) return;
    for (const message of more) {
      if (to.open) this.inputs.input(to.node, { kind: 'message', link: to.no, message });
    }
  }
}

export class Connections {
  readonly #inputs: Inputs;
  readonly #network: Network;
  readonly #events: Events;
  /** What the node whose step it is has sent in it. */
  readonly #said: MessageEvent[] = [];
  #saying: Node | undefined = undefined;
  #sayingStep = -1;

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
    const dialler = new End(node, to, false);
    const acceptor = new End(to, node, true);
    dialler.other = acceptor;
    acceptor.other = dialler;
    dialler.no = no;
    dialler.open = true;
    node.ends[no] = dialler;
    // Whatever the acceptor says comes after the handshake is through.
    const pipe = acceptor.pieces as Way;
    pipe.lastArrivalMs = nowMs + roundTripMs;
    this.#at(nowMs + roundTripMs / 2, () => this.#accept(acceptor));
    this.#at(pipe.lastArrivalMs, () => {
      if (dialler.open) this.#inputs.input(node, { kind: 'connected', link: no, dialled: true });
    });
  }

  send(node: Node, no: number, message: Message): void {
    const end = node.ends[no];
    if (end === undefined || message.kind === 'piece') return;
    const bytes = messageBytes(message);
    if (end.said >= 0 && end.saidStep === node.swarm.steps) {
      const said = this.#said[end.said] as MessageEvent;
      said.more ??= [];
      said.more.push(message);
      return this.#network.charge(end, bytes);
    }
    const event = new MessageEvent(this.#inputs, end.other, message);
    this.#note(end, node, event);
    this.#send(end, bytes, event);
  }

  /** More may go along with it. */
  #note(end: End, node: Node, event: MessageEvent): void {
    const { steps } = node.swarm;
    if (this.#saying !== node || this.#sayingStep !== steps) {
      this.#saying = node;
      this.#sayingStep = steps;
      this.#said.length = 0;
    }
    end.said = this.#said.push(event) - 1;
    end.saidStep = steps;
  }

  /** What was sent before still arrives; then the other side hears of it. */
  close(node: Node, no: number): void {
    const end = node.ends[no];
    if (end === undefined) return;
    const { other } = end;
    this.#shut(end);
    if (other.pieces !== undefined) this.#network.close(other.pieces);
    this.#send(end, 0, new CallEvent(() => this.#closed(other)));
  }

  /** The node's process is gone: nothing more arrives, the other side's kernel hears of it. */
  cut(node: Node, no: number): void {
    const end = node.ends[no];
    if (end === undefined) return;
    const { other } = end;
    this.#shut(end);
    this.#network.close((end.pieces ?? other.pieces) as Pipe);
    this.#at(this.#events.nowMs + this.#network.latencyMs(node.host, other.node.host), () => this.#closed(other));
  }

  #accept(acceptor: End): void {
    const { node, other: dialler } = acceptor;
    if (!node.alive) {
      const hearsMs = this.#events.nowMs + this.#network.latencyMs(node.host, dialler.node.host);
      return this.#at(hearsMs, () => this.#closed(dialler));
    }
    if (!dialler.open) return;
    acceptor.no = node.nextAccepted;
    node.nextAccepted += 2;
    acceptor.open = true;
    node.ends[acceptor.no] = acceptor;
    this.#inputs.input(node, { kind: 'connected', link: acceptor.no, dialled: false });
  }

  #send(end: End, bytes: number, event: SimEvent): void {
    if (end.pieces === undefined) this.#network.sendInOrder(end, bytes, event);
    else this.#network.sendOn(end.pieces, bytes, event);
  }

  #closed(end: End): void {
    if (!end.open) return;
    this.#shut(end);
    this.#network.close((end.pieces ?? end.other.pieces) as Pipe);
    this.#inputs.input(end.node, { kind: 'closed', link: end.no, why: 'closed by the peer' });
  }

  #shut(end: End): void {
    end.open = false;
    end.node.ends[end.no] = undefined;
  }

  #at(atMs: number, call: () => void): void {
    this.#events.schedule(new CallEvent(call), atMs);
  }
}

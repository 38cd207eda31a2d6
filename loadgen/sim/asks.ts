/**
 * What agents without trackers ask the origins: platform/clients/finder.ts on the simulated network. The owners of a
 * blob are asked at once; what they said is not asked again for a while.
 */

import type { Digest } from '../../core/digest.ts';
import type { Metainfo } from '../../core/piece.ts';
import { Rendezvous } from '../../core/rendezvous/rendezvous.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import { CallEvent, type Network } from './network/network.ts';
import type { Node } from './nodes.ts';

/** As the finder has them. */
const owners = 2;
const knownMs = 10_000;
/** On the wire, with the headers of HTTP. */
const requestBytes = 300;
const replyBytes = 600;

export type Told = { readonly peers: readonly PeerAddress[]; readonly meta: Metainfo };

export class OriginAsks {
  readonly #network: Network;
  readonly #origins: ReadonlyMap<string, Node>;
  readonly #owners: Rendezvous;
  /** By node: until when what it heard of a blob is not asked again. */
  readonly #known = new WeakMap<Node, Map<Digest, number>>();

  constructor(network: Network, origins: readonly Node[]) {
    this.#network = network;
    this.#origins = new Map(origins.map((origin, i) => [`http://origin-${i}:15002`, origin]));
    this.#owners = Rendezvous.of([...this.#origins.keys()]);
  }

  /** `told` is called once for each owner, a round trip later, or at once of what is known. */
  ask(node: Node, blob: { digest: Digest; meta: Metainfo }, told: (answer: Told) => void): void {
    const { digest, meta } = blob;
    const { nowMs } = this.#network.events;
    const origins = this.#owners.pick(digest, owners).map((url) => this.#origins.get(url) as Node);
    const known = this.#known.get(node) ?? new Map<Digest, number>();
    this.#known.set(node, known);
    if ((known.get(digest) ?? 0) > nowMs) return told({ peers: origins.map(({ address }) => address), meta });
    known.set(digest, nowMs + knownMs);
    for (const { host, address } of origins) {
      const answer = new CallEvent(() => told({ peers: [address], meta }));
      const asked = new CallEvent(() => this.#network.send(host, node.host, replyBytes, answer));
      this.#network.send(node.host, host, requestBytes, asked);
    }
  }
}

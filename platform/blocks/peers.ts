/** A peer that goes by the blocked digests: what comes to the list leaves its swarm, what leaves it is offered again. */

import { inlineBytesMax } from '../../core/contracts/fields.ts';
import type { PeerNode } from '../peer/node.ts';
import type { BlobStore } from '../store/store.ts';
import type { Blocks } from './blocks.ts';

export type BlockedPeer = {
  readonly node: Pick<PeerNode, 'drop' | 'seed'>;
  readonly store: Pick<BlobStore, 'get'>;
  readonly role: 'agent' | 'origin';
};

export function withoutBlocked(blocks: Blocks, { node, store, role }: BlockedPeer): void {
  blocks.onChange((added, removed) => {
    for (const digest of added) node.drop(digest);
    // Origins are asked for what they have; an agent tells of what no tracker has inline.
    if (role === 'origin') return;
    for (const digest of removed) {
      const blob = store.get(digest);
      if (blob?.complete === true && blob.meta.length > inlineBytesMax) node.seed(blob);
    }
  });
}

/** The agent at a glance: what AGENT.status answers. */

import type { AgentStatus } from '../core/contracts/agent.ts';
import type { PeerNode } from '../platform/peer/node.ts';
import type { BlobStore } from '../platform/store/store.ts';
import type { AgentConfig } from './config.ts';
import type { PullLog, Pulls } from './pull.ts';

export type StatusParts = {
  readonly config: AgentConfig;
  readonly store: BlobStore;
  readonly node: PeerNode;
  readonly pulls: Pulls;
  readonly history: PullLog;
};

export function statusOf({ config, store, node, pulls, history }: StatusParts): AgentStatus {
  return {
    role: 'agent',
    self: node.self,
    cluster: config.cluster,
    peer: node.stats(),
    cache: {
      blobs: store.count,
      complete: store.room.completeCount,
      bytes: store.usedBytes,
      budgetBytes: config.cache.budget,
      passing: store.passing.count,
      passingBytes: store.passing.bytes,
    },
    running: pulls.running(),
    finished: history.list(),
    finishedTotal: history.total,
  };
}

/** The agent at a glance: GET /v1/status, for people and for the demo's table. */

import type { PeerAddress } from '../core/wire/messages.ts';
import type { PeerNode } from '../platform/peer/node.ts';
import type { BlobStore } from '../platform/store/store.ts';
import type { AgentConfig } from './config.ts';
import type { Pulls } from './pull.ts';
import type { FinishedPull, PullLog } from './pull-log.ts';

export type AgentStatus = {
  readonly role: 'agent';
  readonly self: PeerAddress;
  readonly cluster: string;
  readonly peer: ReturnType<PeerNode['stats']>;
  readonly cache: {
    readonly blobs: number;
    readonly complete: number;
    readonly bytes: number;
    readonly budgetBytes: number;
    /** Blobs that there is no room for and that are being read, and the bytes on disk of their windows. */
    readonly passing: number;
    readonly passingBytes: number;
  };
  readonly running: ReturnType<Pulls['running']>;
  /** The latest finished pulls, oldest first. */
  readonly finished: readonly FinishedPull[];
  /** Since the start; `finished` has the latest finishedPullsMax of them. */
  readonly finishedTotal: number;
};

export type StatusParts = {
  readonly config: AgentConfig;
  readonly store: BlobStore;
  readonly node: PeerNode;
  readonly pulls: Pulls;
  readonly history: PullLog;
};

export function statusOf({ config, store, node, pulls, history }: StatusParts): AgentStatus {
  let complete = 0;
  let passing = 0;
  for (const entry of store.entries()) {
    if (entry.complete) complete++;
    if (entry.window !== undefined) passing++;
  }
  return {
    role: 'agent',
    self: node.self,
    cluster: config.cluster,
    peer: node.stats(),
    cache: {
      blobs: store.count,
      complete,
      bytes: store.usedBytes,
      budgetBytes: config.cache.budget,
      passing,
      passingBytes: store.passing.bytes,
    },
    running: pulls.running(),
    finished: history.list(),
    finishedTotal: history.total,
  };
}

/** What a node counts. Labels come from small fixed sets, whatever peers say. */

import { type SwarmDue, swarmDues } from '../../core/swarm/types.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { faultReasonsMax } from './limits.ts';

const roles = ['agent', 'origin', 'unknown'] as const;
const distances = ['rack', 'zone', 'other', 'unknown'] as const;
const outcomes = ['held', 'corrupt', 'failed', 'duplicate', 'unwanted'] as const;
export type PeerRole = (typeof roles)[number];
export type Distance = (typeof distances)[number];
export type PieceOutcome = (typeof outcomes)[number];
export type PeerMetrics = ReturnType<typeof peerMetrics>;

export function peerMetrics(metrics: Metrics) {
  const received = metrics.tallies(
    'peer_received_bytes_total',
    'Payload bytes received, by the role of who sent them',
    'role',
    roles,
  );
  const sent = metrics.tallies(
    'peer_sent_bytes_total',
    'Payload bytes sent, by the role of who got them',
    'role',
    roles,
  );
  const verified = metrics.tallies(
    'peer_verified_bytes_total',
    'Bytes that came, and are right, by how near who sent them is: the same rack, the same zone, another one',
    'from',
    distances,
  );
  const pieces = metrics.tallies(
    'peer_pieces_total',
    'Pieces that arrived whole, by what became of them',
    'outcome',
    outcomes,
  );
  const wakeUps = metrics.tallies(
    'peer_wakeups_total',
    'Times that the swarm was woken, by what was due',
    'due',
    swarmDues,
  );
  const duplicates = metrics.counter('peer_duplicate_bytes_total', 'Bytes of pieces that had come from elsewhere');
  const skipped = metrics.counter('peer_skipped_bytes_total', 'Bytes of pieces that nobody wanted any more');
  const unreadable = metrics.counter('peer_unreadable_pieces_total', 'Pieces asked of us that the disk did not give');
  const links = metrics.gauge('peer_links', 'Open connections, by who dialled', ['dialled']);
  const faults = metrics.counter('peer_faults_total', 'Connections ended by a fault of the peer', ['reason']);
  const slow = metrics.counter('peer_slow_total', 'Connections ended since the peer owed something and did not move', [
    'reason',
  ]);
  const refused = metrics.counter('peer_refused_total', 'Connections refused on arrival', ['reason']);
  const reasons = new Set<string>();
  return {
    received: (role: PeerRole, bytes: number) => received[role].add(bytes),
    sent: (role: PeerRole, bytes: number) => sent[role].add(bytes),
    verified: (from: Distance, bytes: number) => verified[from].add(bytes),
    piece: (outcome: PieceOutcome) => pieces[outcome].add(1),
    woken: (due: SwarmDue) => wakeUps[due].add(1),
    duplicate: (bytes: number) => {
      pieces.duplicate.add(1);
      duplicates.inc(bytes);
    },
    skipped: (bytes: number) => skipped.inc(bytes),
    unreadable: () => unreadable.inc(),
    links: (dialled: boolean, by: 1 | -1) => links.inc({ dialled: String(dialled) }, by),
    refused: (reason: 'full' | 'banned' | 'address') => refused.inc({ reason }),
    slow: (why: string) => slow.inc({ reason: labelOf(why) }),
    fault: (why: string) => {
      const reason = labelOf(why);
      if (reasons.size < faultReasonsMax) reasons.add(reason);
      faults.inc({ reason: reasons.has(reason) ? reason : 'other' });
    },
  };
}

/** The reason without what differs from one time to the next: numbers, digests, addresses. */
function labelOf(why: string): string {
  return why
    .split(' ')
    .filter((word) => !/\d/.test(word))
    .join(' ');
}

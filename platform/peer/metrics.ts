/** What a node counts. Labels come from small fixed sets, whatever peers say. */

import type { Metrics } from '../telemetry/metrics.ts';
import { faultReasonsMax } from './limits.ts';

export type PeerRole = 'agent' | 'origin' | 'unknown';
export type PieceOutcome = 'held' | 'corrupt' | 'failed' | 'duplicate';
export type PeerMetrics = ReturnType<typeof peerMetrics>;

export function peerMetrics(metrics: Metrics) {
  const received = metrics.counter(
    'peer_received_bytes_total',
    'Payload bytes received, by the role of who sent them',
    ['role'],
  );
  const sent = metrics.counter('peer_sent_bytes_total', 'Payload bytes sent, by the role of who got them', ['role']);
  const pieces = metrics.counter('peer_pieces_total', 'Pieces that arrived whole, by what became of them', ['outcome']);
  const duplicates = metrics.counter('peer_duplicate_bytes_total', 'Bytes of pieces that had come from elsewhere');
  const skipped = metrics.counter('peer_skipped_bytes_total', 'Bytes of pieces that nobody wanted any more');
  const unreadable = metrics.counter('peer_unreadable_pieces_total', 'Pieces asked of us that the disk did not give');
  const links = metrics.gauge('peer_links', 'Open connections, by who dialled', ['dialled']);
  const faults = metrics.counter('peer_faults_total', 'Connections ended by a fault of the peer', ['reason']);
  const refused = metrics.counter('peer_refused_total', 'Connections refused on arrival', ['reason']);
  const reasons = new Set<string>();
  return {
    received: (role: PeerRole, bytes: number) => received.inc({ role }, bytes),
    sent: (role: PeerRole, bytes: number) => sent.inc({ role }, bytes),
    piece: (outcome: PieceOutcome) => pieces.inc({ outcome }),
    duplicate: (bytes: number) => {
      pieces.inc({ outcome: 'duplicate' });
      duplicates.inc(bytes);
    },
    skipped: (bytes: number) => skipped.inc(bytes),
    unreadable: () => unreadable.inc(),
    links: (dialled: boolean, by: 1 | -1) => links.inc({ dialled: String(dialled) }, by),
    refused: (reason: 'full' | 'banned' | 'address') => refused.inc({ reason }),
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

/** What is counted, and told in the log, of the TLS connections of a process. */

import type { TlsWatcher } from '../net/credentials.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export function tlsWatcher(log: Logger, metrics: Metrics): TlsWatcher {
  const handshakes = metrics.counter(
    'tls_handshakes_total',
    'TLS connections that were made: by us (out) or by others (in), with certificates (full) or a session (resumed)',
    ['side', 'kind'],
  );
  const ended = metrics.counter(
    'tls_connections_ended_total',
    'Connections that were cut off as the certificate at the other end is not good any more: revoked, or ended',
    ['kind'],
  );
  return {
    handshake: (side, kind) => handshakes.inc({ side, kind }),
    ended: ({ kind, why }) => {
      ended.inc({ kind });
      log.warn({ why }, 'a connection was ended: the certificate at its other end is not good any more');
    },
  };
}

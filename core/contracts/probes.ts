/** What every component answers wherever it listens, whatever else it does. */

import { route } from './route.ts';

export const PROBES = {
  /** Answered by the main thread alone: it lives. */
  health: route('GET', '/health'),
  /** 200, or 503 with what keeps it from serving. */
  readiness: route('GET', '/readiness'),
  /** Text, as Prometheus reads it. */
  metrics: route('GET', '/metrics'),
} as const;

/** What every component answers wherever it listens, whatever else it does. */

import { listOf, oneOf, optional, record, text } from './parse.ts';
import { route } from './route.ts';

/** Characters of what keeps a component from serving: a line of text. */
const problemMax = 65_536;
const problemsMax = 1_000;
const role = text(32);

export const PROBES = {
  /** Answered by the main thread alone: it lives. */
  health: route('GET', '/health', { reply: record({ status: oneOf('ok'), role }) }),
  /** 200, or 503 with what keeps it from serving. */
  readiness: route('GET', '/readiness', {
    reply: record({
      status: oneOf('ready', 'not ready'),
      role,
      problems: optional(listOf(text(problemMax), problemsMax)),
      /** It serves, and somebody should see to these. */
      warnings: optional(listOf(text(problemMax), problemsMax)),
    }),
  }),
  /** Text, as Prometheus reads it. */
  metrics: route('GET', '/metrics'),
} as const;

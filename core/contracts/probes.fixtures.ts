/** A request and an answer of what every process answers, for tests. */

import { type AnyExample, example } from './example.fixtures.ts';
import { PROBES } from './probes.ts';

export const probesExamples: Readonly<Record<keyof typeof PROBES, AnyExample>> = {
  health: example(PROBES.health, {}, { reply: { status: 'ok', role: 'proxy' } }),
  readiness: example(
    PROBES.readiness,
    {},
    { reply: { status: 'not ready', role: 'agent', problems: ['it is stopping'] } },
  ),
  metrics: example(PROBES.metrics, {}),
};

/**
 * What cannot be known of backends from the configuration alone: that they can be reached, the credentials, the right to
 * write. Asked once and not again, so that what is wrong is told as it is.
 */

import type { Env } from '../config/yaml.ts';
import { leastOf, type OnlineProof, type Proven } from '../lifecycle/proof.ts';
import { realClock } from '../net/clock.ts';
import { createLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { type Backend, BackendError } from './backend.ts';
import { type Backed, Backends } from './backends.ts';
import type { BackendRule } from './config.ts';

/** Somebody waits before a terminal. */
const proveMsMax = 20_000;

export async function proveAll(rules: readonly BackendRule[], env: Env): Promise<OnlineProof[]> {
  return await Promise.all(rules.map((rule) => prove(rule, env)));
}

async function prove(rule: BackendRule, env: Env): Promise<OnlineProof> {
  const { name, kind } = rule;
  const begunMs = realClock.nowMs();
  const about = { what: `backend ${name}`, kind };
  const quiet = { log: createLog({ role: 'check', level: 'silent', name: '' }), metrics: new Metrics() };
  try {
    const signal = AbortSignal.timeout(proveMsMax);
    await using backends = await Backends.open([rule], { ...quiet, env, clock: realClock, sharers: () => 1 });
    const { backend, tags } = backends.named(name) as Backed;
    await backend.probe(signal);
    if (tags !== backend) await tags?.probe(signal);
    const ms = Math.round(realClock.nowMs() - begunMs);
    const sharable = tags === undefined || tags.can.conditions;
    const lacks = sharable ? [] : ['conditions (two clusters must not share it)'];
    const proven = leastOf([backend, ...(tags === undefined ? [] : [tags])].map(provenOf));
    return { ...about, ms, proven, lacks, problem: undefined };
  } catch (error) {
    const ms = Math.round(realClock.nowMs() - begunMs);
    return { ...about, ms, proven: undefined, lacks: [], problem: problemOf(name, error) };
  }
}

function provenOf({ can, proves = 'written' }: Backend): Proven {
  return can.writes ? proves : 'read';
}

function problemOf(name: string, error: unknown): OnlineProof['problem'] {
  if (error instanceof BackendError) return { cause: error.why, message: error.message };
  if (error instanceof Error && error.name === 'TimeoutError')
    return {
      cause: 'stalled',
      message: `${name}: no answer within ${proveMsMax / 1000} s: see whether it can be reached from here, and whether it hangs`,
    };
  return { cause: 'refused', message: `${name}: ${(error as Error).message}` };
}

/** A run's report: what the test looks at, and the words for a person. */
import type { Proved } from '../load/proof.ts';
import type { PullRecord, PushRecord } from '../load/records.ts';
import type { Fault } from '../plan/faults.ts';
import type { Befallen, Judged } from './judge.ts';

export type Report = {
  readonly seed: number;
  readonly seconds: number;
  readonly faults: readonly Befallen[];
  readonly judged: Judged;
  readonly pushes: number;
  readonly acknowledged: number;
  /** What no origin gave whole, or a proxy did not give. */
  readonly lost: readonly Proved[];
  /** Of what was acknowledged: on fewer origins than it should be. */
  readonly fewCopies: readonly Proved[];
  /** Nodes that ended without being told to. */
  readonly crashed: readonly string[];
  /** After the last fault, until all were ready and a push and a pull through each went well. */
  readonly healthyMs: number | undefined;
  readonly unhealthy: readonly string[];
};

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

export function faultLine({ no, kind, target, peer, forMs, amount }: Fault, what: string): string {
  const much = amount === 0 ? '' : ` ${amount}`;
  return `#${no} ${target} ${what}${peer === undefined ? '' : ` ${peer}`}${much} for ${seconds(forMs)} (${kind})`;
}

/** Characters of an error: the logs have all of it. */
const messageShown = 300;

export function recordLine(record: PullRecord | PushRecord, faults: readonly Befallen[]): string {
  const { no, gateway, what, fromMs, toMs, failure } = record;
  const wrong = 'wrong' in record ? record.wrong : undefined;
  const told = failure?.message.slice(0, messageShown);
  const cause = wrong ?? `${failure?.status} ${failure?.code} at ${failure?.at}: ${told}`;
  const id = failure?.requestId === undefined ? '' : ` [request ${failure.requestId}]`;
  const now = faults.filter((it) => it.fromMs <= toMs && it.readyMs >= fromMs);
  const at = now.map(({ fault: { kind, target, peer } }) => `${kind} ${target}${peer === undefined ? '' : `|${peer}`}`);
  return `${'by' in record ? 'pull' : 'push'} ${no} of ${what} by ${gateway}, ${seconds(fromMs)} to ${seconds(toMs)}: ${cause}${id}; faults then: ${at.join(', ') || 'none'}`;
}

function counts(texts: readonly string[]): string {
  const by = new Map<string, number>();
  for (const text of texts) by.set(text, (by.get(text) ?? 0) + 1);
  return [...by].map(([text, count]) => `${text} ${count}`).join(', ') || 'none';
}

export function summary(report: Report): string {
  const { counted, right, failed, excused, pushesCounted, pushesFailed, wrong, unclear, late } = report.judged;
  const { faults, pushes, lost, fewCopies, crashed, healthyMs } = report;
  const share = counted === 0 ? 0 : (100 * right) / counted;
  return [
    `chaos: seed ${report.seed}, ${report.seconds} s, ${faults.length} faults (${counts(faults.map(({ fault }) => fault.kind))})`,
    `${counted} pulls count, ${right} right (${share.toFixed(3)} %), failed: ${counts(failed.map(({ failure }) => failure?.code ?? ''))}; unclear ${unclear.length}, late ${late.length}, wrong ${wrong.length}`,
    `not counted: ${Object.entries(excused)
      .map(([why, count]) => `${why} ${count}`)
      .join(', ')}`,
    `${pushes} pushes, ${pushesCounted} count, of them failed: ${counts(pushesFailed.map(({ failure }) => failure?.code ?? ''))}`,
    `${report.acknowledged} acknowledged, ${lost.length} lost, ${fewCopies.length} with fewer than two copies`,
    `crashed: ${crashed.length}, healthy ${healthyMs === undefined ? 'never' : `after ${seconds(healthyMs)}`}`,
  ].join('; ');
}

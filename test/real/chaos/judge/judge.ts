/**
 * What a run comes to, from its records alone. Pure.
 *
 * A pull counts unless what it was asked of could not have given it, whatever the cluster does:
 * - its agent or proxy was killed meanwhile, or the host of it was cut off from all others;
 * - it needed the index, which is one process here, and that was killed, stopped or cut off: tags do, and all that comes
 *   through a proxy. (Digests through agents do not, and count.)
 * - for a push: the disk of the index was full.
 * Those that do not count may fail, but never give a wrong answer.
 */
import { ERRORS } from '../../../../core/contracts/errors.ts';
import type { Failure, PullRecord, PushRecord } from '../load/records.ts';
import type { Fault, Kind } from '../plan/faults.ts';

/** A fault as it was: when it began, when it was being mended and was, and when its node was ready again, by the run's clock. */
export type Befallen = {
  readonly fault: Fault;
  readonly fromMs: number;
  readonly mendingMs: number;
  readonly mendedMs: number;
  readonly readyMs: number;
};

export type Excuse = 'gateway killed' | 'gateway cut off' | 'index away';
export type Judged = {
  readonly counted: number;
  readonly right: number;
  /** Counted, and failed as they may. */
  readonly failed: readonly PullRecord[];
  readonly excused: Readonly<Record<Excuse, number>>;
  /** Pushes that count, by the same rule. */
  readonly pushesCounted: number;
  readonly pushesFailed: readonly PushRecord[];
  /** None of these may be. */
  readonly wrong: readonly PullRecord[];
  readonly unclear: readonly (PullRecord | PushRecord)[];
  readonly late: readonly (PullRecord | PushRecord)[];
};

/** After a minute without a byte a pull is ended, and asking for what and from whom takes a few seconds. */
const boundMs = 70_000;
const ends: ReadonlySet<Kind> = new Set<Kind>(['kill', 'lost']);
const takesIndex: ReadonlySet<Kind> = new Set<Kind>(['kill', 'stop', 'cut']);
/** Connections that were made before are found dead, and others are made. */
const afterMs = 3_000;

type Span = { readonly fromMs: number; readonly toMs: number };
const meets = (span: Span, { fromMs, readyMs }: Befallen): boolean =>
  span.fromMs <= readyMs + afterMs && span.toMs >= fromMs;

export function excuseOf(record: PullRecord | PushRecord, faults: readonly Befallen[]): Excuse | undefined {
  const met = faults.filter((it) => meets(record, it));
  const own = met.filter(({ fault }) => fault.target === record.gateway);
  if (own.some(({ fault, mendingMs }) => ends.has(fault.kind) || (fault.kind === 'dead' && record.toMs >= mendingMs))) {
    return 'gateway killed';
  }
  if (own.some(({ fault }) => fault.kind === 'cut')) return 'gateway cut off';
  const writes = !('by' in record);
  const needsIndex = !('by' in record && record.by === 'digest') || record.gateway.startsWith('proxy');
  const takes = (kind: Kind): boolean => takesIndex.has(kind) || (writes && kind === 'full');
  const away = met.some(({ fault }) => fault.target.startsWith('index') && takes(fault.kind));
  return needsIndex && away ? 'index away' : undefined;
}

/** It says in Shoal's words that it cannot now; or the answer had begun, and ended early, which is how HTTP says it then. */
export function isClear({ status, code }: Failure): boolean {
  return code === 'CUT' || (Object.hasOwn(ERRORS, code) && (status >= 500 || status === 429));
}

/** How long it was stopped itself meanwhile: a process cannot answer then. */
function stoppedMs(record: Span & { readonly gateway: string }, faults: readonly Befallen[]): number {
  return faults
    .filter(({ fault }) => fault.kind === 'stop' && fault.target === record.gateway)
    .reduce((sum, it) => sum + Math.max(0, Math.min(record.toMs, it.mendedMs) - Math.max(record.fromMs, it.fromMs)), 0);
}

export function judge(
  pulls: readonly PullRecord[],
  pushes: readonly PushRecord[],
  faults: readonly Befallen[],
): Judged {
  const excused: Record<Excuse, number> = { 'gateway killed': 0, 'gateway cut off': 0, 'index away': 0 };
  const counted: PullRecord[] = [];
  for (const pull of pulls) {
    const excuse = excuseOf(pull, faults);
    if (excuse === undefined) counted.push(pull);
    else excused[excuse]++;
  }
  const failed = counted.filter(({ failure, wrong }) => failure !== undefined && wrong === undefined);
  const pushesCounted = pushes.filter((push) => excuseOf(push, faults) === undefined);
  const isLate = (it: PullRecord | PushRecord): boolean =>
    it.failure !== undefined && it.toMs - it.fromMs > boundMs + stoppedMs(it, faults);
  return {
    counted: counted.length,
    right: counted.filter(({ failure, wrong }) => failure === undefined && wrong === undefined).length,
    failed,
    excused,
    pushesCounted: pushesCounted.length,
    pushesFailed: pushesCounted.filter(({ failure }) => failure !== undefined),
    wrong: pulls.filter(({ wrong }) => wrong !== undefined),
    unclear: [...failed, ...pushesCounted].filter(({ failure }) => failure !== undefined && !isClear(failure)),
    late: [...pulls, ...pushes].filter(isLate),
  };
}

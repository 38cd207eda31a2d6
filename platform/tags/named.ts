/**
 * Writes that have a name: whoever asks for one draws it, and says it again with each try of that write, at whichever index.
 * So a write whose answer was lost is asked for again without being done twice.
 *
 * Rule 1: the outcome is remembered by name in the write's own transaction. A write whose name is known changes nothing,
 *   and has the outcome that is remembered: also where the first try arrives after the second, or others wrote in between.
 * Rule 2: what changed something is always remembered. A no is, where an earlier try may have been made or may be yet
 *   (`again`): it is the last word then. Without an earlier try nothing could come after a no, and it costs no write.
 * Rule 3: the newest `namesKeptMax` are remembered (a bucket: of each cell fewer): far more than are written while one try is on
 *   its way, which an index that was held up does not make any more (hangs.ts).
 */

/** `again`: an earlier try of it may have been made, or may be yet. */
export type WriteName = { readonly name: string; readonly again?: boolean | undefined };

/** What an engine of one process keeps of it, in the transaction of the write. */
export interface NamedTables {
  /** As `rememberedOf` made it. */
  remembered(name: string): string | undefined;
  remember(name: string, told: string): void;
}

/** About 20 MB, and minutes of the fastest engine. */
export const namesKeptMax = 100_000;
/** Names between two looks for what is too old. */
export const forgetNamesEvery = 1_000;
/** References of a manifest that a remembered no names: its caller pushes those, and hears of others then. */
const missingMax = 100;

/** What one may have in it. */
type Outcome = {
  readonly missing?: readonly unknown[];
  readonly changed?: unknown;
  readonly unproved?: unknown;
  readonly version?: unknown;
  readonly kept?: unknown;
};

/** Does it, or has what was remembered. */
export function once<T>(tables: NamedTables, of: WriteName, write: () => T): T {
  const told = tables.remembered(of.name);
  if (told !== undefined) return outcomeOf(told) as T;
  const outcome = write();
  if (isRemembered(of, outcome)) tables.remember(of.name, rememberedOf(outcome));
  return outcome;
}

/** Rule 2. */
export function isRemembered({ again }: WriteName, outcome: unknown): boolean {
  return again === true || changedSomething(outcome);
}

/** Of any of the outcomes of store.ts. */
function changedSomething(outcome: unknown): boolean {
  if (typeof outcome !== 'object' || outcome === null) return outcome === true;
  const { missing, changed, unproved, version, kept } = outcome as Outcome;
  if (missing === undefined) return version !== undefined;
  return missing.length === 0 && changed === undefined && unproved === undefined && kept === undefined;
}

export function rememberedOf(outcome: unknown): string {
  const { missing } = (outcome ?? {}) as Outcome;
  return JSON.stringify({
    told: missing === undefined ? outcome : { ...(outcome as object), missing: missing.slice(0, missingMax) },
  });
}

export function outcomeOf(told: string): unknown {
  return (JSON.parse(told) as { told?: unknown }).told;
}

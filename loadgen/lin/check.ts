/**
 * Whether a history of one tag is linearizable: whether there is one order of its operations that each of them could
 * have seen, and in which none comes before one that had ended when it began (Wing and Gong).
 *
 * Rule 1: what changes nothing is placed as soon as it fits, which takes no other choice away. Writes whose versions are
 *   known come in the order of these. So there is a choice only where an outcome, or a version, is unknown.
 * Rule 2: an operation whose outcome is unknown comes only before one that could not have come without it: else there is an
 *   order without it as well. Of those that cannot be told apart, deletions and writes that nobody saw, one is tried.
 * Rule 3: what was tried once is not tried again, nor with fewer of the unknown ones left, which leads nowhere else; after `triesMax` the history is undecided, which is not a yes.
 */

import { lineOf, type Operation, unknownOf, type Version } from './history.ts';
import { apply, nothing, numberOf, type Owners, type State } from './model.ts';

/** Each is a look at a few operations: some seconds in all. */
const triesMax = 100_000;
/** Lines of a report. */
const toldMax = 30;

export type Verdict =
  | { readonly kind: 'linearizable' }
  /** `near`: the operations of which none could come next, after the longest order that was found, and those before. */
  | { readonly kind: 'violation'; readonly near: readonly string[] }
  | { readonly kind: 'undecided'; readonly tries: number };

type Known = { readonly operation: Operation; readonly no: number; readonly mutates: boolean; readonly order: number };

/** Where a search stands: `low` known operations from the beginning are placed, and these beyond; and these unknown ones. */
type Node = {
  readonly state: State;
  readonly low: number;
  readonly beyond: ReadonlySet<number>;
  readonly used: ReadonlySet<number>;
  /** The first whose version is known that is not placed, of those in order. */
  readonly next: number;
  /** Before an unknown one that nothing has needed yet. */
  readonly without: State | undefined;
  readonly last: Operation | undefined;
};

const fresh = { without: undefined, last: undefined } as const;

export function check(operations: readonly Operation[], from: State = nothing): Verdict {
  return new Search(operations).run(from);
}

class Search {
  readonly #known: readonly Known[];
  readonly #unknown: readonly Known[];
  /** Known operations that change something and whose version is known, by version. */
  readonly #inOrder: readonly Known[];
  readonly #owners: Owners;
  /** By what else a search depends on: the unknown ones that were used. */
  readonly #tried = new Map<string, ReadonlySet<number>[]>();
  #best: Node | undefined;

  constructor(operations: readonly Operation[]) {
    const versions = versionsSeen(operations);
    this.#owners = ownersOf(operations);
    const sorted = [...operations].sort((one, other) => one.beganMs - other.beganMs);
    const entry = (operation: Operation, no: number): Known => {
      const mutates = operation.kind !== 'read' && ['done', 'unknown'].includes(operation.told.kind);
      const version = mutates ? versionOf(operation, versions) : undefined;
      return { operation, no, mutates, order: version === undefined ? Number.NaN : numberOf(version) };
    };
    this.#known = sorted.filter((one) => !unknownOf(one)).map(entry);
    this.#unknown = sorted.filter(unknownOf).map(entry);
    const ordered = [...this.#known, ...this.#unknown].filter(({ order }) => !Number.isNaN(order));
    this.#inOrder = ordered.sort((one, other) => one.order - other.order);
  }

  run(state: State): Verdict {
    const stack: Node[] = [{ state, low: 0, beyond: new Set(), used: new Set(), next: 0, ...fresh }];
    for (let tries = 0; stack.length > 0; tries++) {
      if (tries === triesMax) return { kind: 'undecided', tries };
      const node = this.#settle(stack.pop() as Node);
      if (node.low === this.#known.length) return { kind: 'linearizable' };
      if (placed(node) >= (this.#best === undefined ? 0 : placed(this.#best))) this.#best = node;
      if (this.#wasTried(node)) continue;
      // The last one is tried first: those that are known to have happened.
      stack.push(...this.#choices(node).reverse());
    }
    return { kind: 'violation', near: this.#report() };
  }

  #wasTried(node: Node): boolean {
    const key = keyOf(node);
    const tried = this.#tried.get(key) ?? [];
    if (tried.some((used) => used.isSubsetOf(node.used))) return true;
    this.#tried.set(key, [...tried, node.used]);
    return false;
  }

  /** Places what fits and changes nothing, until nothing more does. */
  #settle(node: Node): Node {
    let now = node;
    for (;;) {
      const fits = this.#open(now).find(({ mutates, operation }) => !mutates && this.#free(now.state, operation));
      if (fits === undefined) return now;
      now = this.#place(now, fits, this.#apply(now.state, fits.operation) as State);
    }
  }

  #apply(state: State, operation: Operation): State | undefined {
    return apply(state, operation, this.#owners);
  }

  /** Whether it fits and decides nothing: neither what is there, nor which version an unknown deletion had. */
  #free(state: State, operation: Operation): boolean {
    const after = this.#apply(state, operation);
    return (
      after !== undefined && (after.version === state.version || this.#owners.get(after.version ?? '') !== undefined)
    );
  }

  #choices(node: Node): Node[] {
    const untilMs = this.#untilMs(node);
    const next = this.#inOrder[node.next];
    const may = ({ operation, order }: Known): boolean =>
      operation.beganMs <= untilMs && (Number.isNaN(order) || order === next?.order);
    const known = this.#open(node).filter((one) => !one.mutates || may(one));
    const unknown = oneOfEach(this.#unknown.filter((one) => !node.used.has(one.no) && may(one)));
    return [...known, ...unknown].flatMap((one) => {
      const state = this.#apply(node.state, one.operation);
      if (state === undefined) return [];
      if (node.without !== undefined && this.#apply(node.without, one.operation) !== undefined) return [];
      // Its version was told by others.
      const told = state.version === undefined && !Number.isNaN(one.order) ? one.order : undefined;
      if (told !== undefined && told <= state.floor) return [];
      return [this.#place(node, one, state)];
    });
  }

  /** Known operations that may come next: nothing had ended before they began that is not placed yet. */
  #open(node: Node): Known[] {
    const open: Known[] = [];
    let untilMs = Number.POSITIVE_INFINITY;
    for (let no = node.low; no < this.#known.length; no++) {
      const one = this.#known[no] as Known;
      if (one.operation.beganMs > untilMs) break;
      if (node.beyond.has(no)) continue;
      open.push(one);
      untilMs = Math.min(untilMs, one.operation.endedMs);
    }
    return open.filter(({ operation }) => operation.beganMs <= untilMs);
  }

  /** When the first of the known ones that are not placed had ended. */
  #untilMs(node: Node): number {
    return Math.min(...this.#open(node).map(({ operation }) => operation.endedMs));
  }

  #place(node: Node, { no, operation, order }: Known, state: State): Node {
    const { low, beyond, used } = node;
    const next = node.next + (Number.isNaN(order) ? 0 : 1);
    if (unknownOf(operation))
      return { ...node, state, used: new Set([...used, no]), next, without: node.state, last: operation };
    const now = new Set([...beyond, no]);
    let lowest = low;
    while (now.delete(lowest)) lowest += 1;
    return { state, low: lowest, beyond: now, used, next, without: undefined, last: operation };
  }

  #report(): string[] {
    const { state, last, ...node } = this.#best as Node;
    const open = this.#open({ state, last, ...node }).map(({ operation }) => `cannot come next: ${lineOf(operation)}`);
    const before = this.#known
      .slice(Math.max(0, node.low - toldMax), node.low)
      .map(({ operation }) => lineOf(operation));
    const at = `the tag is ${state.digest === null ? 'absent' : state.digest.slice(-8)} at ${state.version}`;
    return [...before, `then ${at}${last === undefined ? '' : `, after ${lineOf(last)}`}`, ...open].slice(-2 * toldMax);
  }
}

function oneOfEach(unknown: readonly Known[]): Known[] {
  const kinds = new Set<string>();
  return unknown.filter(({ operation, order }) => {
    if (operation.kind === 'read' || operation.after !== undefined || !Number.isNaN(order)) return true;
    const known = kinds.has(operation.kind);
    kinds.add(operation.kind);
    return !known;
  });
}

/** By digest: the version of the write that brought it, as readers saw it. */
function versionsSeen(operations: readonly Operation[]): Map<string, Version> {
  const seen = new Map<string, Version>();
  for (const one of operations) {
    if (one.kind === 'read' && one.saw?.version !== undefined && !seen.has(one.saw.digest))
      seen.set(one.saw.digest, one.saw.version);
  }
  return seen;
}

function ownersOf(operations: readonly Operation[]): Owners {
  const owners = new Map<Version, string | null>();
  for (const one of operations) {
    if (one.kind === 'read') {
      if (one.saw?.version !== undefined) owners.set(one.saw.version, one.saw.digest);
    } else if (one.told.kind === 'done' && one.told.version !== undefined)
      owners.set(one.told.version, one.kind === 'write' ? one.digest : null);
  }
  return owners;
}

function versionOf(operation: Operation, seen: ReadonlyMap<string, Version>): Version | undefined {
  if (operation.kind === 'read') return undefined;
  if (operation.told.kind === 'done' && operation.told.version !== undefined) return operation.told.version;
  return operation.kind === 'write' ? seen.get(operation.digest) : undefined;
}

function placed({ low, beyond }: Node): number {
  return low + beyond.size;
}

function keyOf({ state, low, beyond, next, without }: Node): string {
  const sorted = (set: ReadonlySet<number>): string => [...set].sort((a, b) => a - b).join();
  return `${low} ${sorted(beyond)} ${next} ${state.digest} ${state.version} ${state.floor} ${without?.digest} ${without?.version}`;
}

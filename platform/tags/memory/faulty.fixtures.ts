/**
 * A tag store on a disk that loses what was not synced: real grouping, tables in memory, and a log that
 * survives a crash only as far as it was synced. For the conformance suite and for fuzzers.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import type { Prng } from '../../../core/prng.ts';
import { GroupedTagStore } from '../grouped.ts';
import type { OutboxOptions } from '../outbox.ts';
import type { TagStore, TagTables } from '../store.ts';
import { MemoryDocuments } from './documents.ts';
import { MemoryTables } from './memory.ts';

const WRITE_METHODS = [
  'putManifest',
  'putTag',
  'deleteTag',
  'deleteManifest',
  'linkBlob',
  'unlinkBlob',
  'mount',
  'remember',
  'condemn',
  'trust',
  'written',
  'failed',
  'retry',
  'drop',
  'refill',
  'reroute',
  'seen',
  'backfill',
  'adoptManifest',
  'adoptDeletion',
  'adoptBlob',
  'adoptTag',
] as const satisfies (keyof TagTables)[];
const WRITES: ReadonlySet<string> = new Set(WRITE_METHODS);

type Call = { readonly method: (typeof WRITE_METHODS)[number]; readonly args: unknown[]; readonly nowMs: number };

/** The disk, which outlives the stores that are opened on it. */
export class FaultyDisk {
  /** Whole transactions, in order. */
  readonly #synced: (readonly Call[])[] = [];
  readonly #prng: Prng;
  /** Transactions in a hundred that fail before, or right after, they reached the disk. */
  readonly failPercent: number;

  readonly #outbox: OutboxOptions | undefined;

  constructor(prng: Prng, failPercent = 0, outbox?: OutboxOptions) {
    this.#prng = prng;
    this.failPercent = failPercent;
    this.#outbox = outbox;
  }

  /** What a process finds that starts now. A store that was opened before must not be used any more: that was the crash. */
  open(): TagStore {
    // What is read back from the log happens when it happened.
    let thenMs: number | undefined;
    const outbox = this.#outbox;
    const nowMs = (): number => thenMs ?? outbox?.nowMs() ?? 0;
    const tables = new MemoryTables(outbox && { ...outbox, nowMs });
    for (const call of this.#synced.flat()) {
      thenMs = call.nowMs;
      applyTo(tables, call);
    }
    thenMs = undefined;
    let written: Call[] = [];
    let dead = false;
    const transaction = (apply: () => void): void => {
      if (dead) throw new ApiError('UNAVAILABLE', 'the disk failed: start anew');
      written = [];
      apply();
      const fate = this.#prng.below(100);
      if (fate < this.failPercent) {
        // Whether it is found after a restart is open: nobody was told.
        if (this.#prng.below(2) === 0) this.#synced.push(written);
        dead = true;
        throw new ApiError('UNAVAILABLE', 'the disk failed: start anew');
      }
      this.#synced.push(written);
    };
    return new GroupedTagStore({
      ...{ doomed: tables.doomed, untagged: tables.untagged, documents: new MemoryDocuments() },
      counted: { used: tables.used },
      tables: recorded(tables, (call) => written.push({ ...call, nowMs: nowMs() })),
      transaction,
      close: () => undefined,
    });
  }
}

function applyTo(tables: TagTables, call: Call): unknown {
  return (tables[call.method] as (...args: unknown[]) => unknown).apply(tables, call.args);
}

/** The tables, with every write noted. */
function recorded(tables: TagTables, note: (call: Omit<Call, 'nowMs'>) => void): TagTables {
  return new Proxy(tables, {
    get(target, name) {
      const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        if (WRITES.has(String(name))) note({ method: name as Call['method'], args });
        return method.apply(target, args);
      };
    },
  });
}

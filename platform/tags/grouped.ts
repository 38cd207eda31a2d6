/**
 * A TagStore over tables: writes that arrive in the same turn of the event loop share one transaction
 * and one sync to disk, and are acknowledged together once that is done.
 *
 * Rule 1: reads see acknowledged writes only: a transaction begins, ends and is synced within one turn.
 * Rule 2: a transaction that fails fails all of its writes; none of them has happened.
 * Rule 3: at most `pendingMax` writes wait; further ones are told to come back.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { QuotaRule } from '../../core/quota.ts';
import type { DocumentStore, DocumentTables } from './documents.ts';
import type { DoomedStore, DoomedTables } from './doomed.ts';
import { once } from './named.ts';
import { QuotaExceeded, settleWrite } from './quotas/exceeded.ts';
import { type GuardedWrites, heedingQuotas, QuotaGuard } from './quotas/guard.ts';
import type { CountingTagStore, UsedNow } from './quotas/used.ts';
import type { TagStore, TagTables } from './store.ts';
import type { RetiringTagStore, UntaggedStore, UntaggedTables } from './untagged.ts';

/** Where the writes of a group reach the disk: runs `apply`, then syncs its effects, or undoes them and throws. */
export type Transaction = (apply: () => void) => void;

export type GroupedOptions = {
  readonly tables: TagTables;
  readonly transaction: Transaction;
  readonly close: () => void;
  /** Whether somebody else has written to the tables since it was asked last. Default: nobody can. */
  readonly othersWrote?: (() => boolean) | undefined;
  readonly doomed: DoomedTables;
  readonly untagged: UntaggedTables;
  readonly documents: DocumentTables;
  /** What counts what is held, and the rules for it. */
  readonly counted: { readonly used: UsedNow; readonly quotas?: readonly QuotaRule[] | undefined };
};

/** Writes a transaction: bounds the time that the event loop stands still. */
const groupMax = 500;
const pendingMax = 10_000;

type Write = {
  readonly apply: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
};

export class GroupedTagStore implements RetiringTagStore {
  readonly #options: GroupedOptions;
  readonly #pending: Write[] = [];
  readonly #guard: QuotaGuard | undefined;
  readonly #guarded: GuardedWrites;
  #scheduled = false;
  #closed = false;
  #commits = 0;

  constructor(options: GroupedOptions) {
    this.#options = options;
    const { used, quotas = [] } = options.counted;
    this.#guard = quotas.length === 0 ? undefined : new QuotaGuard(quotas, used);
    this.#guarded = heedingQuotas(options.tables, this.#guard);
  }

  /** While it stays as it is, a read finds what it found before. */
  get commits(): number {
    if (this.#closed || this.#options.othersWrote?.() === true) this.#commits += 1;
    return this.#commits;
  }

  readonly doomed: DoomedStore = {
    deletesFrom: (...args) => this.#doom((doomed) => doomed.deletesFrom(...args)),
    broughtFrom: (...args) => this.#doom((doomed) => doomed.broughtFrom(...args)),
    broughtBackends: () => this.#doom((doomed) => doomed.broughtBackends()),
    claimDoomed: (...args) => this.#doom((doomed) => doomed.claimDoomed(...args)),
    settleDoomed: (...args) => this.#doom((doomed) => doomed.settleDoomed(...args)),
    savedDoomed: (...args) => this.#doom((doomed) => doomed.savedDoomed(...args)),
    doomedCounts: (...args) => this.#doom((doomed) => doomed.doomedCounts(...args)),
  };

  readonly untagged: UntaggedStore = {
    lookUntagged: async (...args) => {
      this.#read();
      return this.#options.untagged.lookUntagged(...args);
    },
    noteUntagged: (...args) => this.#write(() => this.#options.untagged.noteUntagged(...args)),
    askedFor: (...args) => this.#write(() => this.#options.untagged.askedFor(...args)),
    retire: (...args) => this.#write(() => this.#options.untagged.retire(...args)),
    forgetUntagged: (...args) => this.#write(() => this.#options.untagged.forgetUntagged(...args)),
  };

  readonly documents: DocumentStore = {
    document: async (name) => {
      this.#read();
      return this.#options.documents.document(name);
    },
    putDocument: (...args) => this.#write(() => this.#options.documents.putDocument(...args)),
  };

  // `async` also turns what the tables throw into a rejection.
  tag: TagStore['tag'] = async (...args) => this.#read().tag(...args);
  tags: TagStore['tags'] = async (...args) => this.#read().tags(...args);
  manifest: TagStore['manifest'] = async (...args) => this.#read().manifest(...args);
  referrers: TagStore['referrers'] = async (...args) => this.#read().referrers(...args);
  blob: TagStore['blob'] = async (...args) => this.#read().blob(...args);
  holders: TagStore['holders'] = async (...args) => this.#read().holders(...args);
  unlinked: TagStore['unlinked'] = async (...args) => this.#read().unlinked(...args);
  used: CountingTagStore['used'] = async (page) => this.#counted().page(page);
  room: CountingTagStore['room'] = async (of) => this.#guard?.room(this.#read(), of);
  catalog: TagStore['catalog'] = async (...args) => this.#read().catalog(...args);
  idleSince: TagStore['idleSince'] = async (...args) => this.#read().idleSince(...args);
  uselessSince: TagStore['uselessSince'] = async (...args) => this.#read().uselessSince(...args);
  idleCounts: TagStore['idleCounts'] = async (...args) => this.#read().idleCounts(...args);

  succession: TagStore['succession'] = async () => this.#read().succession();
  trust: TagStore['trust'] = () => this.#write((tables) => tables.trust());

  // Who holds what is in memory.
  claim: TagStore['claim'] = async (...args) => this.#read().claim(...args);
  hold: TagStore['hold'] = async (...args) => this.#read().hold(...args);
  due: TagStore['due'] = async (...args) => this.#read().due(...args);
  nextDueMs: TagStore['nextDueMs'] = async (...args) => this.#read().nextDueMs(...args);
  pending: TagStore['pending'] = async (...args) => this.#read().pending(...args);
  waiting: TagStore['waiting'] = async (...args) => this.#read().waiting(...args);
  outbox: TagStore['outbox'] = async () => this.#read().outbox();
  references: TagStore['references'] = async (...args) => this.#read().references(...args);
  listed: TagStore['listed'] = async (...args) => this.#read().listed(...args);
  tagState: TagStore['tagState'] = async (...args) => this.#read().tagState(...args);

  putManifest: TagStore['putManifest'] = (...args) => this.#write(() => this.#guarded.putManifest(...args));
  putTag: TagStore['putTag'] = (...args) => this.#write(() => this.#guarded.putTag(...args));
  deleteTag: TagStore['deleteTag'] = (...args) => this.#write((tables) => tables.deleteTag(...args));
  deleteManifest: TagStore['deleteManifest'] = (...args) => this.#write((tables) => tables.deleteManifest(...args));
  linkBlob: TagStore['linkBlob'] = (...args) => this.#write(() => this.#guarded.linkBlob(...args));
  unlinkBlob: TagStore['unlinkBlob'] = (...args) => this.#write((tables) => tables.unlinkBlob(...args));
  mount: TagStore['mount'] = (...args) => this.#write(() => this.#guarded.mount(...args));
  condemn: TagStore['condemn'] = (...args) => this.#write((tables) => tables.condemn(...args));
  use: TagStore['use'] = (...args) => this.#write((tables) => tables.use(...args));
  expire: TagStore['expire'] = (...args) => this.#write((tables) => tables.expire(...args));

  written: TagStore['written'] = (...args) => this.#write((tables) => tables.written(...args));
  failed: TagStore['failed'] = (...args) => this.#write((tables) => tables.failed(...args));
  retry: TagStore['retry'] = (...args) => this.#write((tables) => tables.retry(...args));
  drop: TagStore['drop'] = (...args) => this.#write((tables) => tables.drop(...args));
  refill: TagStore['refill'] = (...args) => this.#write((tables) => tables.refill(...args));
  reroute: TagStore['reroute'] = () => this.#write((tables) => tables.reroute());
  backfill: TagStore['backfill'] = () => this.#write((tables) => tables.backfill());
  seen: TagStore['seen'] = (...args) => this.#write((tables) => tables.seen(...args));
  adoptManifest: TagStore['adoptManifest'] = (...args) => this.#write((tables) => tables.adoptManifest(...args));
  adoptDeletion: TagStore['adoptDeletion'] = (...args) => this.#write((tables) => tables.adoptDeletion(...args));
  adoptBlob: TagStore['adoptBlob'] = (...args) => this.#write((tables) => tables.adoptBlob(...args));
  adoptTag: TagStore['adoptTag'] = (...args) => this.#write((tables) => tables.adoptTag(...args));

  named: TagStore['named'] = (of) => {
    const write = <T>(apply: (tables: TagTables) => T) =>
      this.#write((tables) => once(tables, of, () => apply(tables)));
    return {
      putManifest: (...args) => write(() => this.#guarded.putManifest(...args)),
      putTag: (...args) => write(() => this.#guarded.putTag(...args)),
      deleteTag: (...args) => write((tables) => tables.deleteTag(...args)),
      deleteManifest: (...args) => write((tables) => tables.deleteManifest(...args)),
      unlinkBlob: (...args) => write((tables) => tables.unlinkBlob(...args)),
    };
  };

  /** What waits is still written. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#pending.length > 0) this.#commit();
    this.#options.close();
  }

  #doom<T>(apply: (doomed: DoomedTables) => T): Promise<T> {
    return this.#write(() => apply(this.#options.doomed));
  }

  #counted(): UsedNow {
    if (this.#closed) throw closedError();
    return this.#options.counted.used;
  }

  #read(): TagTables {
    if (this.#closed) throw closedError();
    return this.#options.tables;
  }

  #write<T>(apply: (tables: TagTables) => T): Promise<T> {
    if (this.#closed) return Promise.reject(closedError());
    if (this.#pending.length >= pendingMax) {
      return Promise.reject(
        new ApiError('TOOMANYREQUESTS', `${pendingMax} writes are waiting at the index: try again`),
      );
    }
    return new Promise<T>((resolve, reject) => {
      this.#pending.push({
        apply: () => apply(this.#options.tables),
        resolve: resolve as (value: unknown) => void,
        reject,
      });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After this turn's input was read: whoever wrote in it is in the group.
    setImmediate(() => {
      this.#scheduled = false;
      this.#commit();
      if (this.#pending.length > 0) this.#schedule();
    });
  }

  #commit(): void {
    const group = this.#pending.splice(0, groupMax);
    if (group.length === 0) return;
    this.#commits += 1;
    const results: unknown[] = [];
    try {
      this.#options.transaction(() => {
        for (const write of group) results.push(applied(write));
      });
    } catch (error) {
      for (const write of group) write.reject(error);
      return;
    }
    for (const [i, write] of group.entries()) settleWrite(write, results[i]);
  }
}

/** One that goes beyond a quota has changed nothing: the others of its transaction go on. */
function applied({ apply }: Write): unknown {
  try {
    return apply();
  } catch (error) {
    if (error instanceof QuotaExceeded) return error;
    throw error;
  }
}

function closedError(): ApiError {
  return new ApiError('UNAVAILABLE', 'the index is closing: try again');
}

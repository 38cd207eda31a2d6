/**
 * The tag store in PostgreSQL, for any number of index processes: all that they know is in the database, and nothing of it
 * is remembered here.
 *
 * Rule 1: reads are of the primary, each one statement, which sees all that was committed before it began.
 * Rule 2: writes follow one another (group.ts).
 * Rule 3: where the server is away, that is `storeAway` at once, or after a moment where it is away since just now.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../../core/contracts/errors.ts';
import type { QuotaRule } from '../../../core/quota.ts';
import { StartError } from '../../lifecycle/errors.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { PostgresStore } from '../config.ts';
import type { DocumentStore } from '../documents.ts';
import type { WriteName } from '../named.ts';
import type { OutboxOptions } from '../outbox.ts';
import { orExceeded, QuotaExceeded } from '../quotas/exceeded.ts';
import type { CountingTagStore } from '../quotas/used.ts';
import type { TagStore } from '../store.ts';
import type { RetiringTagStore } from '../untagged.ts';
import { documentOf, putDocument } from './documents/documents.ts';
import { postgresDoomed } from './doomed.ts';
import { PostgresFilled } from './filled.ts';
import { WriteGroups } from './group.ts';
import { idleCounts, idleSince, use, uselessSince } from './idle.ts';
import type { Tx } from './numbers.ts';
import { PostgresOutbox } from './outbox.ts';
import { PostgresQuotas } from './quotas.ts';
import { PostgresReads } from './reads.ts';
import { PostgresRepos } from './repos.ts';
import { postgresUntagged } from './retention/untagged.ts';
import { migrate } from './schema/migrate.ts';
import { EngineClock } from './server/clock.ts';
import { pgWordsOf } from './server/faults.ts';
import { lookMs, operatorReadMs, readMs, startMs } from './server/limits.ts';
import { Primary } from './server/primary.ts';
import type { Querying } from './server/statements.ts';
import { successionOf, trustSuccession } from './succession.ts';
import { condemn, unlinkedAmong } from './unlinked.ts';
import { usedPage } from './used.ts';
import { PostgresVersions } from './versions.ts';
import { PostgresWrites } from './writes.ts';

export type PostgresTagsOptions = {
  readonly settings: PostgresStore;
  /** Whose writes leave rows; undefined: no repository has a target. */
  readonly targets?: Omit<OutboxOptions, 'nowMs'> | undefined;
  /** Default: the database's clock. */
  readonly nowMs?: (() => number) | undefined;
  /** Default: none. */
  readonly quotas?: readonly QuotaRule[] | undefined;
  readonly log: Pick<Logger, 'warn'>;
};

/** Throws StartError where it cannot be used. */
export async function openPostgresTags(
  options: PostgresTagsOptions,
): Promise<{ readonly store: RetiringTagStore; readonly nowMs: () => number }> {
  const { settings, targets, log } = options;
  const clock = new EngineClock();
  const primary = new Primary(settings, clock);
  const nowMs = options.nowMs ?? clock.nowMs;
  const database = await migrate(await connected(primary, log), { schema: settings.schema, name: primary.name });
  const outbox = targets && { ...targets, nowMs };
  return { store: new PostgresTags({ primary, clock, database, outbox, nowMs, quotas: options.quotas ?? [] }), nowMs };
}

/** A server that is started together with its index is waited for. */
async function connected(primary: Primary, log: Pick<Logger, 'warn'>) {
  let told: string | undefined;
  for (const untilMs = performance.now() + startMs; ; ) {
    try {
      return await primary.connect();
    } catch (error) {
      const why = pgWordsOf(error);
      if (performance.now() > untilMs) throw new StartError(`${primary.name} does not answer: ${why}`);
      if (why !== told) log.warn({ store: primary.name, why }, 'the store does not answer yet: it is waited for');
      told = why;
      await sleep(lookMs);
    }
  }
}

type Parts = {
  readonly primary: Primary;
  readonly clock: EngineClock;
  readonly database: string;
  readonly outbox: OutboxOptions | undefined;
  readonly nowMs: () => number;
  readonly quotas: readonly QuotaRule[];
};

class PostgresTags implements RetiringTagStore {
  readonly #primary: Primary;
  readonly #groups: WriteGroups;
  readonly #database: string;
  readonly #reads: PostgresReads;
  readonly #writes: PostgresWrites;
  readonly #outbox: PostgresOutbox;
  readonly #filled: PostgresFilled;
  readonly #versions: PostgresVersions;
  readonly #quotas: PostgresQuotas;
  #closed = false;
  readonly doomed = postgresDoomed({ read: (act) => this.#read(act), write: (act) => this.#write(act) });
  readonly untagged = postgresUntagged({
    read: (act) => this.#read(act),
    write: (act) => this.#write(act),
    deleteManifest: (...of) => this.#writes.deleteManifest(...of),
  });

  readonly documents: DocumentStore = {
    document: (name) => this.#read((asking) => documentOf(asking, name)),
    putDocument: (...args) => this.#write(({ asking }) => putDocument(asking, ...args)),
  };

  constructor({ primary, clock, database, outbox, nowMs, quotas }: Parts) {
    this.#primary = primary;
    this.#database = database;
    this.#groups = new WriteGroups({ primary, database, clock, onTold: outbox?.onTold });
    this.#reads = new PostgresReads(database);
    this.#filled = new PostgresFilled(outbox);
    const repos = new PostgresRepos(this.#filled);
    this.#versions = new PostgresVersions(outbox?.nowMs);
    this.#outbox = new PostgresOutbox(database, outbox);
    this.#writes = new PostgresWrites({ repos, outbox: this.#outbox, versions: this.#versions, nowMs });
    this.#quotas = new PostgresQuotas(quotas, this.#writes);
  }

  tag: TagStore['tag'] = (...of) => this.#read((asking) => this.#reads.tag(asking, ...of));
  tags: TagStore['tags'] = (...of) => this.#read((asking) => this.#reads.tags(asking, ...of));
  manifest: TagStore['manifest'] = (...of) => this.#read((asking) => this.#reads.manifest(asking, ...of));
  referrers: TagStore['referrers'] = (...of) => this.#read((asking) => this.#reads.referrers(asking, ...of));
  blob: TagStore['blob'] = (...of) => this.#read((asking) => this.#reads.blob(asking, ...of));
  holders: TagStore['holders'] = (...of) => this.#read((asking) => this.#reads.holders(asking, ...of));
  used: CountingTagStore['used'] = (page) => this.#read((asking) => usedPage(asking, page));
  room: CountingTagStore['room'] = async (of) => {
    // Thrown within a read it would be taken for a fault of the server.
    const outcome = await this.#read((asking) => orExceeded(() => this.#quotas.room(asking, of)));
    if (outcome instanceof QuotaExceeded) throw outcome;
  };
  catalog: TagStore['catalog'] = (...of) => this.#read((asking) => this.#reads.catalog(asking, ...of));
  unlinked: TagStore['unlinked'] = async (digests) => ({
    index: this.#database,
    unlinked: await this.#read((asking) => unlinkedAmong({ asking }, digests)),
  });
  idleSince: TagStore['idleSince'] = (...of) => this.#read((asking) => idleSince(asking, ...of));
  uselessSince: TagStore['uselessSince'] = (...of) => this.#read((asking) => uselessSince(asking, ...of));
  idleCounts: TagStore['idleCounts'] = (...of) => this.#read((asking) => idleCounts(asking, ...of), operatorReadMs);

  succession: TagStore['succession'] = () => this.#read((asking) => successionOf(asking));
  trust: TagStore['trust'] = () => this.#write(({ asking }) => trustSuccession(asking));

  due: TagStore['due'] = (...of) => this.#read((asking) => this.#outbox.due(asking, ...of));
  nextDueMs: TagStore['nextDueMs'] = (...of) => this.#read((asking) => this.#outbox.nextDueMs(asking, ...of));
  pending: TagStore['pending'] = (...of) => this.#read((asking) => this.#outbox.pending(asking, ...of));
  waiting: TagStore['waiting'] = (...of) => this.#read((asking) => this.#outbox.waiting(asking, ...of), operatorReadMs);
  outbox: TagStore['outbox'] = () => this.#read((asking) => this.#outbox.outbox(asking), operatorReadMs);
  references: TagStore['references'] = (...of) => this.#read((asking) => this.#reads.references(asking, ...of));
  listed: TagStore['listed'] = (...of) => this.#read((asking) => this.#reads.listed(asking, ...of));
  tagState: TagStore['tagState'] = (...of) => this.#read((asking) => this.#reads.tagState(asking, ...of));

  putManifest: TagStore['putManifest'] = (...of) => this.#write((tx) => this.#quotas.putManifest(tx, ...of));
  putTag: TagStore['putTag'] = (...of) => this.#write((tx) => this.#quotas.putTag(tx, ...of));
  deleteTag: TagStore['deleteTag'] = (...of) => this.#write((tx) => this.#writes.deleteTag(tx, ...of));
  deleteManifest: TagStore['deleteManifest'] = (...of) => this.#write((tx) => this.#writes.deleteManifest(tx, ...of));
  linkBlob: TagStore['linkBlob'] = (...of) => this.#write((tx) => this.#quotas.linkBlob(tx, ...of));
  unlinkBlob: TagStore['unlinkBlob'] = (...of) => this.#write((tx) => this.#writes.unlinkBlob(tx, ...of));
  mount: TagStore['mount'] = (...of) => this.#write((tx) => this.#quotas.mount(tx, ...of));
  condemn: TagStore['condemn'] = (...of) => this.#write((tx) => condemn(tx, ...of));
  use: TagStore['use'] = (...of) => this.#write((tx) => use(tx, ...of));
  expire: TagStore['expire'] = (...of) => this.#write((tx) => this.#writes.expire(tx, ...of));

  named: TagStore['named'] = (of) => ({
    putManifest: (...args) => this.#write((tx) => this.#quotas.putManifest(tx, ...args), of),
    putTag: (...args) => this.#write((tx) => this.#quotas.putTag(tx, ...args), of),
    deleteTag: (...args) => this.#write((tx) => this.#writes.deleteTag(tx, ...args), of),
    deleteManifest: (...args) => this.#write((tx) => this.#writes.deleteManifest(tx, ...args), of),
    unlinkBlob: (...args) => this.#write((tx) => this.#writes.unlinkBlob(tx, ...args), of),
  });

  claim: TagStore['claim'] = (...of) => this.#write((tx) => this.#outbox.claim(tx, ...of));
  hold: TagStore['hold'] = (...of) => this.#write((tx) => this.#outbox.hold(tx, ...of));
  written: TagStore['written'] = (...of) => this.#write((tx) => this.#outbox.written(tx, ...of));
  failed: TagStore['failed'] = (...of) => this.#write((tx) => this.#outbox.failed(tx, ...of));
  retry: TagStore['retry'] = (...of) => this.#write((tx) => this.#outbox.retry(tx, ...of));
  drop: TagStore['drop'] = (...of) => this.#write((tx) => this.#outbox.drop(tx, ...of));
  reroute: TagStore['reroute'] = () => this.#write((tx) => this.#filled.reroute(tx));
  refill: TagStore['refill'] = (...of) => this.#write((tx) => this.#filled.refill(tx, ...of));
  backfill: TagStore['backfill'] = () => this.#write((tx) => this.#filled.backfill(tx, () => this.#versions.next(tx)));
  seen: TagStore['seen'] = (version) => this.#write(async ({ numbers }) => this.#versions.seen(numbers, version));
  adoptManifest: TagStore['adoptManifest'] = (...of) => this.#write((tx) => this.#writes.adopt.manifest(tx, ...of));
  adoptDeletion: TagStore['adoptDeletion'] = (...of) => this.#write((tx) => this.#writes.adoptDeletion(tx, ...of));
  adoptBlob: TagStore['adoptBlob'] = (...of) => this.#write((tx) => this.#writes.adopt.blob(tx, ...of));
  adoptTag: TagStore['adoptTag'] = (...of) => this.#write((tx) => this.#writes.adopt.tag(tx, ...of));

  /** What waits is still written. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#groups[Symbol.asyncDispose]();
    await this.#primary[Symbol.asyncDispose]();
  }

  async #read<T>(act: (asking: Querying) => Promise<T>, ms = readMs): Promise<T> {
    if (this.#closed) throw new ApiError('UNAVAILABLE', 'the index is closing: try again');
    return await this.#primary.lend(ms, act);
  }

  #write<T>(act: (tx: Tx) => Promise<T>, of?: WriteName): Promise<T> {
    return this.#groups.write(act, of);
  }
}

/**
 * `storage.share: containerd`: what containerd has is this agent's, too, and what the agent has and containerd has as well
 * lies on the disk once (docs/storage.md).
 *
 * Rule 1: everything in containerd's content store is taken, at the start and as it comes: first what lies twice, then what
 *   nobody has to wait for; large files one at a time beside the others, which wait for none of them. A client that asks for a
 *   blob waits for it to be read, if it is not large.
 * Rule 2: nothing is written to containerd's store, and nothing is told to containerd: it writes what it pulls through the
 *   agent by itself, and from then on the agent's own copy is one too many.
 * Rule 3: what containerd has under a digest that is not the bytes' is never taken; the log and a metric say so.
 * Rule 4: where files cannot be shared the agent goes on as without it, and says why.
 */

import { inlineBytesMax } from '../../core/contracts/fields.ts';
import type { Digest } from '../../core/digest.ts';
import { ScrubPace, wait } from '../../platform/host/scrub/pace.ts';
import type { RoleContext } from '../../platform/lifecycle/role.ts';
import type { PeerNode } from '../../platform/peer/node.ts';
import { diskCode } from '../../platform/store/disk/disk.ts';
import { identityOf, NotShareable } from '../../platform/store/shared/files.ts';
import type { Shared, TakenBlob } from '../../platform/store/shared/shared.ts';
import { NotTheBlob } from '../../platform/store/shared/taking.ts';
import type { BlobEntry, BlobStore } from '../../platform/store/store.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';
import type { Arena } from '../../platform/workers/arena.ts';
import { SHARES } from '../../platform/workers/arena.ts';
import type { SharingConfig } from './config.ts';
import { ContainerdContent } from './containerd.ts';
import { type SharingMetrics, sharingMetrics } from './metrics.ts';
import { fileSize, whyNot } from './problems.ts';

/** How often it is looked whether something came or went; what could not be taken now is tried again as often. */
const lookMs = 1_000;
/** Where files cannot be shared at all. */
const againMs = 60_000;
/** A client waits for a blob of up to so many bytes to be read, under a second; of a longer one the swarm has the first byte sooner. */
const askedBytesMax = 256 * 1024 * 1024;
/** At 200 MB/s it takes 5 s: a file of 100 GB, be it one that is all holes, takes minutes. */
const largeBytesDefault = 1024 * 1024 * 1024;

export type SharingOptions = {
  readonly shared: Pick<Shared, 'all' | 'bytes' | 'count' | 'doubled' | 'get' | 'idOf' | 'letGo' | 'take'>;
  readonly source: Pick<ContainerdContent, 'dir' | 'forget' | 'look' | 'path'>;
  readonly node: Pick<PeerNode, 'arrived' | 'seed'>;
  readonly rate: number;
  /** Pieces are under way. */
  readonly busy: () => boolean;
  readonly log: LineLog;
  readonly metrics: Metrics;
  /** Default: as above. */
  readonly lookMs?: number;
  readonly largeBytes?: number;
};

export class Sharing {
  readonly #o: SharingOptions;
  readonly #pace: ScrubPace;
  readonly #ending = new AbortController();
  readonly #metrics: SharingMetrics;
  readonly #running: Promise<void>;
  /** What containerd has. */
  #there: ReadonlySet<Digest> = new Set();
  /** Of that, what is still to be read. */
  readonly #waiting = new Set<Digest>();
  /** Of why not, in the log. */
  #told: string | undefined;
  readonly #taking = new Map<Digest, Promise<BlobEntry | undefined>>();
  /** A large one is being read. */
  #large = false;
  /** containerd's store is not there. */
  #absent: string | undefined;
  /** Its files cannot be shared: it is tried again then. */
  #problem: { readonly why: string; readonly untilMs: number } | undefined;

  /** Begins. */
  constructor(o: SharingOptions) {
    this.#o = o;
    this.#pace = new ScrubPace({ bytesPerS: o.rate, busy: o.busy, late: () => false });
    this.#metrics = sharingMetrics(o.metrics, {
      shared: o.shared,
      waiting: () => this.#waiting.size,
      works: () => this.problems().length === 0,
    });
    this.#running = this.#run();
  }

  /** Why nothing can be shared. */
  problems(): string[] {
    return [this.#absent ?? this.#problem?.why ?? []].flat();
  }

  /** A client wants it, and it is not in the cache. undefined: containerd has not got it, or it is not to be waited for. */
  async asked(digest: Digest): Promise<BlobEntry | undefined> {
    // What is there, is not shared and does not wait was refused: it is not read once more for each who asks.
    if (!this.#waiting.has(digest) || this.#problem !== undefined) return this.#o.shared.get(digest);
    const size = await fileSize(this.#o.source.path(digest));
    if (size === undefined || size > askedBytesMax) return undefined;
    return await this.#take(digest, false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    await Promise.allSettled(this.#taking.values());
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    const { lookMs: everyMs = lookMs, log } = this.#o;
    while (!signal.aborted) {
      try {
        await this.#look();
        await this.#takeAll();
        await wait(everyMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        log.error({ err: error }, 'sharing with containerd: a round failed');
        await wait(againMs, signal).catch(() => undefined);
      }
    }
  }

  async #look(): Promise<void> {
    const { source, shared, log } = this.#o;
    let there: Set<Digest> | undefined;
    try {
      there = await source.look();
    } catch (error) {
      const code = diskCode(error);
      if (code === undefined) throw error;
      // It may be away for a while: what is shared is still here.
      const why = `containerd's content store ${source.dir} cannot be read (${code}): see to \`storage.root\``;
      if (this.#absent !== why) log.warn({}, why);
      this.#absent = why;
      return;
    }
    this.#absent = undefined;
    if (there === undefined) return;
    for (const digest of there)
      if (!this.#there.has(digest) && shared.get(digest) === undefined) this.#waiting.add(digest);
    for (const digest of this.#waiting) if (!there.has(digest)) this.#waiting.delete(digest);
    this.#there = there;
    for (const { digest, meta } of shared.all()) {
      if (there.has(digest)) await this.#compare(digest);
      else {
        const kept = await shared.letGo(digest);
        this.#metrics.letGo.inc({ end: kept ? 'kept' : 'gone' });
        log.info({ digest, bytes: meta.length, kept }, 'containerd has let go of a blob that was shared');
      }
    }
  }

  /** containerd may have removed it and pulled it again meanwhile: then it lies twice. */
  async #compare(digest: Digest): Promise<void> {
    const { source, shared } = this.#o;
    try {
      if ((await identityOf(source.path(digest))).id !== shared.idOf(digest)) this.#waiting.add(digest);
    } catch (error) {
      // The next look tells.
      if (diskCode(error) === undefined) throw error;
      source.forget();
    }
  }

  async #takeAll(): Promise<void> {
    if (this.#problem !== undefined && performance.now() < this.#problem.untilMs) return;
    this.#problem = undefined;
    const doubled = [...this.#waiting].filter((digest) => this.#o.shared.doubled(digest));
    for (const digest of new Set([...doubled, ...this.#waiting])) {
      this.#ending.signal.throwIfAborted();
      if (this.#waiting.has(digest)) await this.#takeInTurn(digest);
      if (this.#problem !== undefined) return;
      // Some of it may have gone meanwhile, and what came may lie twice.
      if (await this.#changed()) return;
    }
  }

  async #changed(): Promise<boolean> {
    const before = this.#there;
    await this.#look();
    return this.#there !== before;
  }

  async #takeInTurn(digest: Digest): Promise<void> {
    const size = (await fileSize(this.#o.source.path(digest))) ?? 0;
    const taken = (): Promise<BlobEntry | undefined> => this.#take(digest, true);
    if (size <= (this.#o.largeBytes ?? largeBytesDefault)) return void (await taken());
    if (this.#large) return;
    this.#large = true;
    void taken().finally(() => {
      this.#large = false;
    });
  }

  #take(digest: Digest, paced: boolean): Promise<BlobEntry | undefined> {
    const running = this.#taking.get(digest) ?? this.#tryTake(digest, paced).finally(() => this.#taking.delete(digest));
    this.#taking.set(digest, running);
    return running;
  }

  async #tryTake(digest: Digest, paced: boolean): Promise<BlobEntry | undefined> {
    const { source, shared } = this.#o;
    const { signal } = this.#ending;
    const from = source.path(digest);
    const size = await fileSize(from);
    if (size === undefined || size <= inlineBytesMax) {
      this.#waiting.delete(digest);
      return undefined;
    }
    try {
      const pace = (bytes: number): Promise<void> => this.#pace.take(bytes, signal);
      const taken = await shared.take(digest, from, { signal, pace: paced ? pace : undefined });
      // Whatever receives it now is waited for.
      if (taken === undefined) return undefined;
      this.#waiting.delete(digest);
      this.#taken(digest, taken);
      return taken.entry;
    } catch (error) {
      if (error instanceof NotShareable) this.#cannot(digest, whyNot(error, source.dir));
      else this.#refused(digest, from, error);
      return undefined;
    }
  }

  #taken(digest: Digest, { entry, how, before }: TakenBlob): void {
    const { node, log } = this.#o;
    this.#told = undefined;
    this.#metrics.taken.inc({ how });
    this.#metrics.freed.inc(before);
    log.info({ digest, bytes: entry.meta.length, how, freed: before }, 'a blob is shared with containerd');
    node.arrived(entry);
    node.seed(entry);
  }

  #refused(digest: Digest, file: string, error: unknown): void {
    const { log } = this.#o;
    const code = diskCode(error);
    if (this.#ending.signal.aborted || code === 'EAGAIN') return;
    this.#waiting.delete(digest);
    // containerd has let go of it.
    if (code === 'ENOENT') return;
    const wrong = error instanceof NotTheBlob;
    this.#metrics.refused.inc({ why: wrong ? 'wrong' : 'unread' });
    const remedy = wrong
      ? `remove it there (ctr content rm ${digest}) and pull the image again`
      : "see to containerd's disk";
    log.error({ digest, file, why: String(error) }, `what containerd has of a blob is not shared: ${remedy}`);
  }

  #cannot(digest: Digest, why: string): void {
    // It may be the only one: the others come before it.
    if (this.#waiting.delete(digest)) this.#waiting.add(digest);
    if (this.#told !== why) this.#o.log.warn({}, why);
    this.#told = why;
    this.#problem = { why, untilMs: performance.now() + againMs };
  }
}

/** undefined: it is not configured. Ends with the stack. */
export function beginSharing(
  { config, log, metrics }: RoleContext<{ readonly storage: SharingConfig }>,
  { store, node, arena }: { readonly store: BlobStore; readonly node: PeerNode; readonly arena: Arena },
  stack: AsyncDisposableStack,
): Sharing | undefined {
  const { shared } = store;
  if (shared === undefined) return undefined;
  const { root, rate } = config.storage;
  const busy = (): boolean => SHARES.some((share) => arena.freeBytes(share) < arena.shareBytes(share));
  return stack.use(new Sharing({ shared, source: new ContainerdContent(root), node, rate, busy, log, metrics }));
}

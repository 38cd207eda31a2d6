/** For tests: origins that share a backend, with write-backs as the product has them, and blobs in memory; time moves by hand. */

import { randomBytes } from 'node:crypto';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { prng } from '../../core/prng.ts';
import { Rendezvous } from '../../core/rendezvous/rendezvous.ts';
import { Backends, backedBy } from '../../platform/backends/backends.ts';
import { FaultyBackend } from '../../platform/backends/faulty.fixtures.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { sourceOf } from '../../platform/backends/objects.fixtures.ts';
import { backedAsRegistry, keyedAsRegistry } from '../../platform/backends/registry/keys.fixtures.ts';
import { VirtualClock } from '../../platform/net/clock.fixtures.ts';
import { Queue } from '../../platform/queue/queue.ts';
import { runHere } from '../../platform/queue/runners.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { writeBackCounts } from './metrics.ts';
import { type WholeBlob, WriteBack } from './write-back.ts';

const never = new AbortController().signal;
/** Of the clock; small, so that what follows from one step is there at the next. */
const stepMs = 50;
/** Turns of the event loop in which all of a step has happened. */
const turns = 12;
const chunkBytes = 1_000;

export type SitesOptions = {
  readonly count: number;
  readonly rowsMax?: number;
  readonly durability?: 'origins' | 'backend';
  /** What each blob's owners are: by rendezvous unless it is given. */
  readonly order?: readonly number[];
};

export class Sites implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly backend = new FaultyBackend(new MemoryBackend('main'));
  readonly other = new FaultyBackend(new MemoryBackend('other'));
  /** Of repositories `reg/**`, which it tells apart. */
  readonly registry = keyedAsRegistry('registry');
  readonly sites: Site[];
  /** Of whom no site knows yet who they are. */
  strangers: { readonly pulse: { readonly silent: boolean } }[] = [];
  readonly options: SitesOptions;

  constructor(options: SitesOptions) {
    this.options = options;
    this.sites = Array.from({ length: options.count }, (_, no) => new Site(this, no));
  }

  get urls(): string[] {
    return this.sites.map(({ url }) => url);
  }

  /** As each site opens them. */
  backends(): Backends {
    const { durability = 'origins' } = this.options;
    const said = { durability, required: false };
    return new Backends([
      { patterns: ['other/**'], backed: backedBy(this.other, said) },
      { patterns: ['reg/**'], backed: backedAsRegistry(this.registry, said) },
      { patterns: ['**'], backed: backedBy(this.backend, said) },
    ]);
  }

  pick(digest: string): readonly string[] {
    const { order } = this.options;
    if (order !== undefined) return order.map((no) => `http://${no}`);
    return Rendezvous.of(this.sites.map(({ url }) => url)).pick(digest);
  }

  /** Time passes, with all that happens in it. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
      this.clock.until(this.clock.ms + Math.min(stepMs, left));
    }
    for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
  }

  /** Whether the backend has exactly these bytes. */
  async has(digest: Digest, backend = this.backend): Promise<boolean> {
    const found = await backend.stat(this.backends().all[0]?.blobKey(digest) ?? '', never);
    return found?.digest === digest;
  }

  /** A blob that these hold. */
  blob(holders: readonly number[], size = 10_000): WholeBlob & { readonly bytes: Buffer } {
    const bytes = randomBytes(size);
    const { digest } = sourceOf(bytes);
    const blob = { digest, bytes, meta: { length: size, pieceLength: 262_144, root: '0'.repeat(64) } };
    for (const no of holders) this.sites[no]?.blobs.set(digest, blob);
    return blob;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.backend.heal();
    this.other.heal();
    for (const site of this.sites) await site.stop();
  }
}

export class Site {
  readonly url: string;
  readonly blobs = new Map<Digest, WholeBlob & { readonly bytes: Buffer }>();
  readonly queue: Queue;
  readonly writeBack: WriteBack;
  readonly metrics = new Metrics();
  /** It answers others. */
  up = true;
  /** Others are told that they have not got the blob yet. */
  asked = 0;

  constructor(sites: Sites, no: number) {
    const { clock } = sites;
    this.url = `http://${no}`;
    const runner = runHere(
      { file: ':memory:', name: 'write-back queue', rowsMax: sites.options.rowsMax ?? 1_000 },
      (error) => {
        throw error;
      },
    );
    this.queue = new Queue({ runner, nowMs: () => clock.nowMs(), random: prng(no) });
    const byId = (url: string) => {
      const site = sites.sites.find((one) => one.url === url);
      return site === undefined || site === this ? undefined : site.askable;
    };
    this.writeBack = new WriteBack({
      backends: sites.backends(),
      queue: this.queue,
      counts: writeBackCounts(this.metrics),
      origins: {
        owners: (digest) => sites.pick(digest).map((id) => ({ id })),
        byId,
        get strangers() {
          return sites.strangers;
        },
      },
      self: this.url,
      find: async ({ digest }) => {
        const blob = this.blobs.get(digest);
        return blob && ((start, end) => chunksOf(blob.bytes, start, end));
      },
      clock,
      wallMs: () => clock.nowMs(),
      random: prng(no + 100),
      log: silentLog(),
    });
    this.writeBack.begin();
  }

  /** As another origin's client. */
  get askable() {
    return {
      pulse: { silent: !this.up },
      writeBack: async ({ digest, repo }: { digest: Digest; repo: string | undefined }) => {
        if (!this.up) throw new ApiError('UNAVAILABLE', `${this.url} is down`);
        this.asked += 1;
        const blob = this.blobs.get(digest);
        return blob && (await this.writeBack.asked(blob, repo));
      },
    };
  }

  /** Pushed here: resolves as the push is acknowledged. */
  async take(blob: WholeBlob, repo = 'team/app'): Promise<void> {
    await (await this.writeBack.promise(blob, repo, never))();
  }

  async rows(): Promise<number> {
    return (await this.queue.list({}, { max: 1_000 })).rows.length;
  }

  async stop(): Promise<void> {
    this.up = false;
    await this.writeBack[Symbol.asyncDispose]();
    await this.queue[Symbol.asyncDispose]();
  }
}

async function* chunksOf(bytes: Buffer, start: number, end: number) {
  for (let at = start; at < end; at += chunkBytes)
    yield { bytes: [bytes.subarray(at, Math.min(end, at + chunkBytes))], release: () => undefined };
}

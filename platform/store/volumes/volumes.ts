/**
 * The volumes of a store: how each is, where new blobs go, and what happens where one is lost or comes back.
 *
 * Rule 1: the data directory must be usable at the start, as it says whose this is. Of the others any may be missing then:
 *   what was there counts as lost.
 * Rule 2: a refusal that may mean more than one file makes us look at the volume (probe.ts); what a look takes too long
 *   for, hangs. While a volume is not well it is looked at every few seconds: nobody has to start anything anew.
 * Rule 3: new blobs are spread by weight, by a rendezvous hash of what they are known by, over those that are well and
 *   have room; where none has, the one with most room takes it, and its disk says that it is full.
 * Rule 4: what is lost counts as lost at once: nobody waits for it (ops.ts), and nothing is written to it.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import { combine, hashText, unitOf } from '../../../core/rendezvous/hash.ts';
import { StartError } from '../../lifecycle/errors.ts';
import { type Disk, diskCode } from '../disk/disk.ts';
import { dataVolume, type Layout } from '../layout.ts';
import type { StoreLog } from '../recover.ts';
import { spareBytes } from '../room/full.ts';
import { identify, type KnownVolume, make, makeVolumeDirectories, noteKnown, readKnown } from './identity.ts';
import { hungMsDefault, VolumeOps } from './ops.ts';
import { probe, type VolumeHealth } from './probe.ts';
import { Volume, type VolumePlan } from './volume.ts';

/** How often a volume that is not well is looked at. */
const againMs = 5_000;
/** How often one that is well: whether it is still there, which costs a read from memory. */
const lookMs = 10_000;
/** Of reads that a read-only volume refuses: so many, and it is lost. */
const refusalsMax = 3;
/** Refusals that say something of one name, one call or this process. */
const harmless: readonly string[] = [
  'EEXIST',
  'ENOSPC',
  'EDQUOT',
  'EMFILE',
  'ENFILE',
  'EAGAIN',
  'EBADF',
  'SHORT',
  'ENODATA',
];

export type VolumesOptions = {
  readonly disk: Disk;
  readonly layout: Layout;
  readonly role: string;
  readonly plans: readonly VolumePlan[];
  readonly log: StoreLog;
  readonly hungMs?: number | undefined;
  /** 0: nothing is looked at but when something is refused. */
  readonly lookMs?: number | undefined;
};

export type VolumesHost = {
  /** Nothing of it can be had any more. */
  readonly lost: (volume: number) => void;
  /** It is well again: what it has is to be found. */
  readonly found: (volume: number) => Promise<void>;
};

export class Volumes {
  readonly all: readonly Volume[];
  /** Where there is one only: all goes there. */
  readonly only: number | undefined;
  /** Whether anything new can be stored. */
  writable = true;
  host: VolumesHost | undefined;
  readonly #o: VolumesOptions;
  readonly #ops: readonly VolumeOps[];
  readonly #unlocks = new Map<number, () => Promise<void>>();
  readonly #looking = new Map<number, Promise<void>>();
  readonly #refused = new Map<number, number>();
  #known: KnownVolume[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(o: VolumesOptions) {
    this.#o = o;
    this.all = o.plans.map((plan, no) => new Volume(no, plan));
    this.only = this.all.length === 1 ? dataVolume : undefined;
    const hungMs = o.hungMs ?? hungMsDefault;
    this.#ops = this.all.map(
      ({ no, plan }) =>
        new VolumeOps({
          path: plan.path,
          hungMs,
          hangs: (why) => this.#become(no, { state: 'lost', why }),
        }),
    );
  }

  /** Makes, finds and locks all but the data directory, which is ours already. StartError where the configuration is wrong. */
  async open(): Promise<void> {
    this.#known = await readKnown(this.#o.disk, this.#o.layout);
    for (const volume of this.all) {
      if (volume.no !== dataVolume) await this.#open(volume);
      if (volume.state !== 'lost') volume.freeBytes = await this.#free(volume);
    }
    await this.#note();
    const every = this.#o.lookMs ?? lookMs;
    if (every > 0) this.#timer = setInterval(() => this.#lookAtAll(), Math.min(every, againMs)).unref();
  }

  /** Numbers of those that can be read. */
  get there(): number[] {
    return this.all.filter(({ state }) => state !== 'lost').map(({ no }) => no);
  }

  opsOf(volume: number): VolumeOps {
    return this.#ops[volume] as VolumeOps;
  }

  fail(volume: number, why: string): void {
    this.#become(volume, { state: 'lost', why });
  }

  /** Where a new blob of so many bytes goes. ApiError UNAVAILABLE: nowhere, as none is well. */
  place(key: string, bytes: number): number {
    const hash = hashText(key);
    const score = ({ id, plan }: Volume): number => -plan.weight / Math.log(unitOf(combine(hashText(id), hash)));
    const usable = this.all.filter(({ state, plan }) => state === 'well' && plan.weight > 0);
    const order = usable.map((volume) => ({ volume, at: score(volume) })).sort((a, b) => b.at - a.at);
    const fits = order.find(({ volume }) => volume.roomBytes(spareBytes) >= bytes);
    const roomiest = usable.reduce<Volume | undefined>(
      (best, one) => (best === undefined || one.roomBytes(spareBytes) > best.roomBytes(spareBytes) ? one : best),
      undefined,
    );
    const chosen = fits?.volume ?? roomiest;
    if (chosen !== undefined) return chosen.no;
    throw this.problem();
  }

  /** Why nothing new can be stored. */
  problem(): ApiError {
    return new ApiError('UNAVAILABLE', `nothing can be stored now: ${this.problems().join('; ')}`);
  }

  /** Paths of those that anything new goes to. */
  get taking(): string[] {
    return this.all.filter(({ state, plan }) => state === 'well' && plan.weight > 0).map(({ plan }) => plan.path);
  }

  /** Bytes that can still be written, to all that take new blobs. Where none does, nothing is gained by removing any. */
  async freeBytes(): Promise<number> {
    if (!this.writable) return Number.POSITIVE_INFINITY;
    let bytes = 0;
    for (const volume of this.all) {
      if (volume.state !== 'well' || volume.plan.weight === 0) continue;
      volume.freeBytes = await this.#free(volume);
      bytes += Math.max(0, volume.freeBytes);
    }
    return bytes;
  }

  /** What is wrong, a line for each volume. */
  problems(): string[] {
    return this.all
      .filter(({ state }) => state !== 'well')
      .map(({ plan, state, why }) => `volume ${plan.path} is ${state}: ${why}`);
  }

  /** The same, and which of them are full: nothing new goes there until something else does. */
  warnings(): string[] {
    const full = this.all.filter(
      ({ state, plan, freeBytes }) => state === 'well' && plan.weight > 0 && freeBytes < spareBytes,
    );
    return [
      ...this.problems(),
      ...full.map(
        ({ plan, freeBytes }) =>
          `volume ${plan.path} is full: ${freeBytes} bytes of its disk are free, of which ${spareBytes} stay free: free space there`,
      ),
    ];
  }

  /** The disk refused. */
  suspect(no: number, code: string, what: { readonly action: string; readonly path: string }): void {
    if (harmless.includes(code) || this.#closed) return;
    // Of a blob it may be one that somebody removed, but among uploads we make files, and the directory is there.
    if (code === 'ENOENT' && what.action !== 'create') return;
    const volume = this.all[no] as Volume;
    if (volume.state === 'read-only' && code !== 'EROFS' && what.action !== 'create') {
      const refused = (this.#refused.get(no) ?? 0) + 1;
      this.#refused.set(no, refused);
      if (refused >= refusalsMax)
        return this.#become(no, {
          state: 'lost',
          why: `it is read-only, and what is read is refused (${code}): see to the disk`,
        });
    }
    void this.look(no);
  }

  /** Looks at it now; again while that is done is harmless. */
  async look(no: number, write = true): Promise<void> {
    const running = this.#looking.get(no);
    if (running !== undefined) return await running;
    const look = this.#look(this.all[no] as Volume, write).finally(() => this.#looking.delete(no));
    this.#looking.set(no, look);
    await look;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const unlock of this.#unlocks.values()) await unlock();
  }

  // ---- within ----------------------------------------------------------------------------------

  async #open(volume: Volume): Promise<void> {
    const health = await this.#within((): Promise<VolumeHealth> => this.#claim(volume));
    this.#become(volume.no, health);
  }

  /** What `work` finds, or that the disk hangs or refuses. */
  async #within(work: () => Promise<VolumeHealth>): Promise<VolumeHealth> {
    const hungMs = this.#o.hungMs ?? hungMsDefault;
    let timer: NodeJS.Timeout | undefined;
    const hangs = new Promise<VolumeHealth>((resolve) => {
      const why = `it hangs: a look at it took longer than ${hungMs / 1000} s`;
      timer = setTimeout(() => resolve({ state: 'lost', why }), hungMs).unref();
    });
    try {
      return await Promise.race([work(), hangs]);
    } catch (error) {
      if (diskCode(error) === undefined) throw error;
      return { state: 'lost', why: `it cannot be used (${(error as Error).message}): see to its disk and its owner` };
    } finally {
      clearTimeout(timer);
    }
  }

  /** Makes sure which one it is, and takes it. StartError where it can never be right. */
  async #claim(volume: Volume): Promise<VolumeHealth> {
    const { disk, layout } = this.#o;
    const at = layout.volume(volume.no);
    const found = await identify(this.#o, at, this.#known);
    if (found.kind === 'wrong') throw new StartError(`${found.why}: see \`volumes:\``);
    if (found.kind === 'lost') return { state: 'lost', why: found.why };
    const id = found.kind === 'ours' ? found.id : await make(this.#o, at);
    const twin = this.all.find((other) => other !== volume && other.id === id && other.state !== 'lost');
    if (twin !== undefined)
      return { state: 'lost', why: `it is a copy of ${twin.plan.path} (id ${id}): one of them must go` };
    volume.id = id;
    const health = await probe(this.#o, volume, true);
    if (health.state !== 'well') return health;
    await this.#lock(volume);
    await makeVolumeDirectories(disk, at);
    return health;
  }

  async #lock(volume: Volume): Promise<void> {
    if (this.#unlocks.has(volume.no)) return;
    try {
      this.#unlocks.set(volume.no, await this.#o.disk.lock(this.#o.layout.volume(volume.no).lock));
    } catch (error) {
      if (diskCode(error) !== 'EBUSY') throw error;
      throw new StartError(`volume ${volume.plan.path} is in use by another process: each store has its own`);
    }
  }

  /** A hint that is not written costs that an empty mount point is noticed. */
  async #note(also?: Volume): Promise<void> {
    const { disk, layout, log } = this.#o;
    const now = this.all
      .filter((volume) => volume.no !== dataVolume && (volume.state !== 'lost' || volume === also))
      .map(({ id, plan }) => ({ id, path: plan.path }));
    try {
      this.#known = await noteKnown(disk, layout, { before: this.#known, now });
    } catch (error) {
      if (diskCode(error) === undefined) throw error;
      log.warn({ file: layout.known, error: String(error) }, 'which volumes there are could not be noted');
    }
  }

  /** As it was, where the disk does not say. */
  async #free(volume: Volume): Promise<number> {
    try {
      return await this.#o.disk.freeBytes(volume.plan.path);
    } catch (error) {
      if (diskCode(error) === undefined) throw error;
      return volume.freeBytes;
    }
  }

  #lookAtAll(): void {
    for (const { no, state } of this.all) void this.look(no, state !== 'well');
  }

  async #look(volume: Volume, write: boolean): Promise<void> {
    const again = volume.state === 'lost' && volume.no !== dataVolume;
    let looked: Promise<unknown> = Promise.resolve();
    const work = (): Promise<VolumeHealth> => {
      // Whatever is mounted there now, nothing is written to it before it is known to be ours.
      const look = again ? this.#claim(volume) : probe(this.#o, volume, write);
      looked = look.catch(() => undefined);
      return look;
    };
    try {
      const health = this.#usable(volume, await this.#within(work));
      if (this.#closed) return;
      if (volume.state === 'lost' && health.state !== 'lost') await this.#return(volume, health);
      else this.#become(volume.no, health);
    } catch (error) {
      // A directory of somebody else's, or another process has it.
      if (!(error instanceof StartError)) throw error;
      this.#become(volume.no, { state: 'lost', why: error.message });
    }
    // No second look beside one that hangs.
    await looked;
  }

  /** What answers a look may still have no thread left for anything else: ops.ts, Rule 4. */
  #usable({ no, state }: Volume, health: VolumeHealth): VolumeHealth {
    const stuck = state === 'lost' && health.state !== 'lost' ? this.opsOf(no).stuck : 0;
    if (stuck === 0) return health;
    const why = `it answers, but ${stuck} operations from before have not ended, and hold all threads that it may: where they never do, start the process anew`;
    return { state: 'lost', why };
  }

  /** It was lost, and answers. */
  async #return(volume: Volume, health: VolumeHealth): Promise<void> {
    this.opsOf(volume.no).find();
    if (volume.no !== dataVolume) await this.#note(volume);
    this.#refused.delete(volume.no);
    this.#become(volume.no, health);
    await this.host?.found(volume.no);
  }

  #become(no: number, { state, why }: VolumeHealth): void {
    const volume = this.all[no] as Volume;
    if (this.#closed) return;
    const before = volume.state;
    volume.why = why;
    if (state === before) {
      if (state === 'lost') this.opsOf(no).lose();
      return;
    }
    volume.state = state;
    this.writable = this.all.some((one) => one.state === 'well' && one.plan.weight > 0);
    volume.sinceMs = performance.now();
    const fields = { volume: volume.plan.path, why, blobs: volume.blobs, bytes: volume.usedBytes };
    if (state === 'well') this.#o.log.info(fields, `a volume is well again, after it was ${before}`);
    else if (state === 'read-only') this.#o.log.error(fields, 'a volume is read-only: nothing new is put there');
    else this.#o.log.error(fields, 'a volume is lost: what is there counts as gone until it is back');
    if (state !== 'lost') return;
    this.opsOf(no).lose();
    this.host?.lost(no);
  }
}

/**
 * A directory of HDFS as a backend, by WebHDFS: an object a file.
 *
 * Rule 1: a key has a whole object or none, whoever dies when (publish.ts). Nothing outside of the directory is touched, and
 *         nothing in it is removed but what is under way.
 * Rule 2: what HDFS can do is found out before the first write, once, and by every probe (features.ts).
 */

import type { Proven } from '../../lifecycle/proof.ts';
import type { Clock } from '../../net/clock.ts';
import type { Logger } from '../../telemetry/log.ts';
import {
  type Backend,
  BackendError,
  type BackendObject,
  type BackendPage,
  type BackendRead,
  type ObjectSource,
  smallBytesMax,
  type WriteCondition,
} from '../backend.ts';
import type { Opening } from '../kind.ts';
import type { HdfsSettings } from './config.ts';
import { featuresOf, type HdfsFeatures, rootThere } from './features.ts';
import { HdfsNames } from './names.ts';
import { type About, HdfsPlace } from './place.ts';
import { HdfsPublisher, type HdfsTarget } from './publish.ts';
import { readHdfs } from './read.ts';
import { fileVersion, type HdfsStatus, isFile } from './status.ts';
import { sweepUploads } from './sweep.ts';
import { keysPage } from './walk.ts';
import { WebHdfs } from './web-hdfs.ts';

/** A writer that is killed leaves little, and a day passes before it is removed. */
const sweepEveryMs = 60 * 60 * 1000;
/** Of `stallMs`, the part that a page of a list may take: who waits for it sees nothing move. */
const pageStalls = 1 / 4;
const probeBytes = Buffer.from('written by shoal to see whether it may write here; it can be removed\n');

export class HdfsBackend implements Backend {
  readonly kind = 'hdfs';
  readonly name: string;
  readonly #root: string;
  readonly #uploads: string;
  readonly #names: HdfsNames;
  readonly #web: WebHdfs;
  readonly #place: HdfsPlace;
  readonly #publisher: HdfsPublisher;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #stallMs: number;
  readonly #shared: boolean;
  #features: HdfsFeatures | undefined;
  #told: readonly string[] = [];
  #sweptMs = Number.NEGATIVE_INFINITY;

  constructor(settings: HdfsSettings, opening: Omit<Opening, 'metrics'>) {
    const { name, clock, log, stallMs, shared = false } = opening;
    this.name = name;
    this.#root = settings.directory;
    this.#uploads = `${settings.directory}/${settings.uploadDirectory}`;
    this.#names = new HdfsNames(name, settings.uploadDirectory);
    this.#web = new WebHdfs(settings, opening);
    this.#place = new HdfsPlace(this.#web);
    this.#publisher = new HdfsPublisher({ name, place: this.#place, uploads: this.#uploads });
    this.#clock = clock;
    this.#log = log;
    this.#stallMs = stallMs;
    this.#shared = shared;
  }

  /** Until it has been asked: what HDFS itself can. */
  get can(): Backend['can'] {
    const { ids = true, list = true } = this.#features ?? {};
    return { conditions: ids, list, writes: true, records: true };
  }

  get proves(): Proven {
    return this.#shared ? 'read' : 'written';
  }

  async probe(signal: AbortSignal): Promise<void> {
    const found = await this.#find(signal);
    // Where others write as well nothing is removed, and so nothing is written.
    const ids =
      this.#shared || (await this.#publisher.tryOut(probeBytes, found, signal))
        ? found.ids
        : this.#lacks('it does not replace a file by its id: there are no conditions');
    this.#features = { ...found, ids };
  }

  async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    const about = { doing: 'look up', object: key, signal };
    const there = await this.#place.status(this.#at(key).path, about);
    if (there !== undefined) return isFile(there) ? objectOf(there) : undefined;
    await rootThere(this.#place, this.#root, about);
    return undefined;
  }

  async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    signal.throwIfAborted();
    yield* readHdfs(this.#place, this.#at(key), range, { doing: 'read', object: key, signal });
  }

  async write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    const target = this.#at(key);
    const { plan } = await this.#known(signal);
    const is = await this.#publisher.write(target, source, plan, signal);
    await this.#sweep(is, signal);
    return { ...objectOf(is), digest: source.digest };
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    const target = this.#at(key);
    if (bytes.length > smallBytesMax)
      throw new BackendError(
        'refused',
        `${this.name}: ${key} has more than ${smallBytesMax} bytes: it is to be written, not put`,
      );
    const { plan, ids } = await this.#known(signal);
    if (condition !== undefined && !ids)
      throw new BackendError(
        'unsupported',
        `${this.name}: ${key} cannot be written under a condition: this HDFS has none (see the log, and docs/backends.md)`,
      );
    const is = await this.#publisher.put(target, bytes, { plan, condition }, signal);
    await this.#sweep(is, signal);
    return objectOf(is);
  }

  async list(
    prefix: string,
    page: { after?: string | undefined; max: number },
    signal: AbortSignal,
  ): Promise<BackendPage> {
    const ending = new AbortController();
    const about = { doing: 'list', object: prefix || undefined, signal: AbortSignal.any([signal, ending.signal]) };
    try {
      signal.throwIfAborted();
      await rootThere(this.#place, this.#root, about);
      const walking = { place: this.#place, names: this.#names, about, ahead: 0 };
      const limits = { clock: this.#clock, withinMs: this.#stallMs * pageStalls };
      return await keysPage(walking, this.#root, { prefix, ...page }, limits);
    } finally {
      // What was read ahead.
      ending.abort();
    }
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    await this.#place.remove(this.#at(key).path, { doing: 'remove', object: key, signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#publisher.settled();
    this.#web[Symbol.dispose]();
  }

  #at(key: string): HdfsTarget {
    return { key, path: [this.#root, ...this.#names.of(key)].join('/') };
  }

  async #known(signal: AbortSignal): Promise<HdfsFeatures> {
    this.#features ??= await this.#find(signal);
    return this.#features;
  }

  async #find(signal: AbortSignal): Promise<HdfsFeatures> {
    const about: About = { doing: 'look at the directory', object: undefined, signal };
    const found = await featuresOf(this.#place, this.#root, about);
    for (const lack of found.lacks) this.#lacks(lack);
    return found;
  }

  #lacks(lack: string): false {
    if (!this.#told.includes(lack)) this.#log.warn({ backend: this.name, lack }, 'this HDFS lacks something');
    this.#told = [...this.#told, lack];
    return false;
  }

  /** What lies there may be others': where they write as well, nothing is removed. */
  async #sweep({ modificationTime }: HdfsStatus, signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.nowMs();
    if (this.#shared || nowMs - this.#sweptMs < sweepEveryMs) return;
    this.#sweptMs = nowMs;
    const about = { doing: 'tidy up', object: undefined, signal };
    await sweepUploads(this.#place, this.#uploads, modificationTime, about).catch(() => undefined);
  }
}

function objectOf(is: HdfsStatus): BackendObject {
  return { size: is.length, version: fileVersion(is) };
}

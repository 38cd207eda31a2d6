/**
 * A bucket of Google Cloud Storage, or of a server that speaks its JSON API, as a backend. An object's version is its
 * generation.
 *
 * Rule 1: every key has the rule's prefix before it there, and not here.
 * Rule 2: whether conditions are honoured is found out before the first write that has one, and by every probe.
 */

import { randomUUID } from 'node:crypto';
import type { Proven } from '../../lifecycle/proof.ts';
import {
  type Backend,
  BackendError,
  type BackendObject,
  type BackendPage,
  type BackendRead,
  type LoadedObject,
  type ObjectSource,
  smallBytesMax,
  type WriteCondition,
} from '../backend.ts';
import type { Opening } from '../kind.ts';
import { under } from '../parts/config.ts';
import { roomBytes } from '../parts/limits.ts';
import { PartRoom } from '../parts/room.ts';
import { untilAborted } from '../until.ts';
import { WebRequester } from '../web/requester.ts';
import type { GcsSettings } from './config.ts';
import { listGcs } from './list.ts';
import { probeConditions } from './probe.ts';
import { changed, loadGcs, readGcs } from './read.ts';
import { GcsRequests } from './requests.ts';
import { UploadSessions } from './sessions.ts';
import { GoogleTokens, noTokens } from './tokens.ts';
import { type GcsUploading, uploadGcs } from './upload.ts';
import { lookUp, putGcs, removeGcs, writeGcs } from './write.ts';

export class GcsBackend implements Backend {
  readonly kind = 'gcs';
  readonly name: string;
  readonly #settings: GcsSettings;
  readonly #opening: Omit<Opening, 'metrics'>;
  readonly #web: WebRequester;
  readonly #requests: GcsRequests;
  readonly #reading = new PartRoom(roomBytes);
  readonly #writing: GcsUploading;
  readonly #ending = new AbortController();
  #conditions: boolean | undefined;
  #finding: Promise<boolean> | undefined;

  constructor(settings: GcsSettings, opening: Omit<Opening, 'metrics'>) {
    this.name = opening.name;
    this.#settings = settings;
    this.#opening = opening;
    const { credentials, ca, parts } = settings;
    const nowMs = (): number => opening.clock.nowMs();
    this.#web = new WebRequester(opening, { ca });
    const tokens = credentials === 'anonymous' ? noTokens : new GoogleTokens(credentials, opening, this.#web);
    this.#requests = new GcsRequests(opening.name, settings, { web: this.#web, tokens });
    this.#writing = {
      ...{ requests: this.#requests, room: new PartRoom(roomBytes), sessions: new UploadSessions(nowMs), nowMs },
      ...{ wholeBytesMax: parts.size, shared: opening.shared === true },
    };
  }

  /** Until the server has been asked: what Google's can. */
  get can(): Backend['can'] {
    return { conditions: this.#conditions ?? true, list: true, writes: true, records: true };
  }

  get proves(): Proven {
    return this.#writing.shared ? 'kept' : 'written';
  }

  async probe(signal: AbortSignal): Promise<void> {
    this.#conditions = await this.#find(signal);
  }

  async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    try {
      const { size, digest, version } = await lookUp(this.#requests, this.#at(key), signal);
      return { size, digest, version };
    } catch (error) {
      if (error instanceof BackendError && error.why === 'missing' && error.scope === 'object') return undefined;
      throw error;
    }
  }

  async load(key: string, signal: AbortSignal): Promise<LoadedObject | undefined> {
    return await loadGcs(this.#requests, this.#at(key), signal);
  }

  async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const at = this.#at(key);
    const reading = { requests: this.#requests, room: this.#reading, parts: this.#settings.parts };
    if (range.start < range.end) return yield* readGcs(reading, at, range, signal);
    const { version, size } = await lookUp(this.#requests, this.#at(key), signal);
    if (range.version !== undefined && range.version !== version) throw changed({ requests: this.#requests, key: at });
    if (range.end > size) throw this.#requests.wrong('damaged', at, `has ${size} bytes, not ${range.end}`);
  }

  async write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    const whole = source.size <= this.#writing.wholeBytesMax;
    return await (whole ? writeGcs : uploadGcs)(this.#writing, this.#at(key), source, signal);
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    const at = this.#at(key);
    if (bytes.length > smallBytesMax)
      throw this.#requests.wrong('refused', at, `has more than ${smallBytesMax} bytes: it is to be written, not put`);
    if (condition !== undefined && !(await this.#known(signal)))
      throw this.#requests.wrong('unsupported', at, 'cannot be written under a condition: this server ignores them');
    return await putGcs(this.#requests, { key: at, bytes, condition }, signal);
  }

  async list(
    prefix: string,
    { after, max }: { after?: string | undefined; max: number },
    signal: AbortSignal,
  ): Promise<BackendPage> {
    const from = after === undefined ? undefined : this.#at(after);
    const { objects, next } = await listGcs(this.#requests, { prefix: this.#at(prefix), after: from, max }, signal);
    const cut = this.#at('').length;
    return { objects: objects.map(({ key, size }) => ({ key: key.slice(cut), size })), next: next?.slice(cut) };
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    await removeGcs(this.#requests, { key: this.#at(key) }, signal).catch((error: unknown) => {
      if (!(error instanceof BackendError) || error.why !== 'missing' || error.scope === 'bucket') throw error;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.#web[Symbol.dispose]();
  }

  #at(key: string): string {
    return under(this.#settings.prefix, key);
  }

  /** Asked once for all who wait; whoever gives up waiting ends nothing for the others. */
  async #known(signal: AbortSignal): Promise<boolean> {
    if (this.#conditions !== undefined) return this.#conditions;
    this.#finding ??= this.#find(this.#ending.signal).finally(() => {
      this.#finding = undefined;
    });
    this.#conditions = await untilAborted(this.#finding, signal);
    return this.#conditions;
  }

  async #find(signal: AbortSignal): Promise<boolean> {
    const stays = this.#writing.shared;
    const key = this.#at(stays ? '_shoal/probe' : `.shoal/probe-${randomUUID()}`);
    const conditions = await probeConditions({ requests: this.#requests, key, stays }, signal);
    if (!conditions && this.#conditions !== false)
      this.#opening.log.warn(
        { backend: this.name, lack: 'ifGenerationMatch' },
        'the server of this backend ignores conditions: of two clusters on this bucket, one may undo the other',
      );
    return conditions;
  }
}

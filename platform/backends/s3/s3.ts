/**
 * A bucket of S3, or of a server that speaks as it does, as a backend.
 *
 * Rule 1: every key has the rule's prefix before it there, and not here.
 * Rule 2: what the server can do is found out before the first write, once, and by every probe.
 */

import { randomUUID } from 'node:crypto';
import type { Proven } from '../../lifecycle/proof.ts';
import type { Logger } from '../../telemetry/log.ts';
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
import { sumOf } from '../parts/sums.ts';
import { untilAborted } from '../until.ts';
import { connectS3, type S3Connection } from './client.ts';
import type { S3Settings } from './config.ts';
import { type Features, probeFeatures, removeObject } from './features.ts';
import { listPage } from './list.ts';
import { partBytes, writeInParts } from './multipart.ts';
import { S3Presigner } from './presign.ts';
import { loadObject, readObject } from './read.ts';
import { S3Requests } from './requests.ts';
import { head, putWhole, writeAtOnce } from './write.ts';

export class S3Backend implements Backend {
  readonly kind = 's3';
  readonly name: string;
  readonly #settings: S3Settings;
  readonly #connection: S3Connection;
  readonly #requests: S3Requests;
  readonly #log: Logger;
  readonly #shared: boolean;
  readonly #reading = new PartRoom(roomBytes);
  readonly #writing = new PartRoom(roomBytes);
  #features: Features | undefined;
  #finding: Promise<Features> | undefined;
  readonly #ending = new AbortController();
  readonly #presigner: S3Presigner | undefined;
  /** Where the rule wants it. */
  readonly presign: Backend['presign'];

  constructor(settings: S3Settings, opening: Omit<Opening, 'metrics'>) {
    this.name = opening.name;
    this.#settings = settings;
    this.#log = opening.log;
    this.#shared = opening.shared === true;
    this.#connection = connectS3(settings, opening);
    this.#requests = new S3Requests(opening.name, settings.bucket, this.#connection);
    const { redirect } = settings;
    if (redirect !== undefined) {
      const presigner = new S3Presigner({ ...settings, redirect }, this.#connection);
      this.#presigner = presigner;
      this.presign = (key, signal) => this.#signed(presigner, key, signal);
    }
  }

  async #signed(presigner: S3Presigner, key: string, signal: AbortSignal): Promise<string> {
    try {
      return await untilAborted(presigner.url(this.#at(key)), signal);
    } catch (error) {
      return this.#requests.fail(error, { doing: 'sign a URL of', key: this.#at(key), signal });
    }
  }

  /** Until the server has been asked: what S3 itself can. */
  get can(): Backend['can'] {
    const { conditions = true, list = true } = this.#features ?? {};
    return { conditions, list, writes: true, records: true };
  }

  get proves(): Proven {
    return this.#shared ? 'kept' : 'written';
  }

  async probe(signal: AbortSignal): Promise<void> {
    this.#features = await this.#find(signal);
  }

  async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    try {
      return await head(this.#requests, this.#at(key), signal);
    } catch (error) {
      if (!(error instanceof BackendError) || error.why !== 'missing') throw error;
      // A HEAD has no words: is it the object, or the bucket, that is not there?
      return await this.#missing(key, signal);
    }
  }

  async load(key: string, signal: AbortSignal): Promise<LoadedObject | undefined> {
    return await loadObject(this.#requests, this.#at(key), signal);
  }

  async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (range.start < range.end) return yield* readObject(this.#reads, this.#at(key), range, signal);
    const { version, size } = await head(this.#requests, this.#at(key), signal);
    if (range.version !== undefined && range.version !== version)
      throw this.#requests.wrong('changed', this.#at(key), 'was written anew since its reading began: begin again');
    if (range.end > size) throw this.#requests.wrong('damaged', this.#at(key), `has ${size} bytes, not ${range.end}`);
  }

  async write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    const { sums } = await this.#known(signal);
    const alone = !this.#shared;
    const writing = { requests: this.#requests, settings: this.#settings, room: this.#writing, sums, alone };
    const whole = source.size <= partBytes(source.size, this.#settings.parts.size);
    return await (whole ? writeAtOnce : writeInParts)(writing, this.#at(key), source, signal);
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    if (bytes.length > smallBytesMax)
      throw this.#requests.wrong(
        'refused',
        this.#at(key),
        `has more than ${smallBytesMax} bytes: it is to be written, not put`,
      );
    const { sums, conditions } = await this.#known(signal);
    if (condition !== undefined && !conditions)
      throw this.#requests.wrong(
        'unsupported',
        this.#at(key),
        'cannot be written under a condition: this server ignores them',
      );
    const writing = { requests: this.#requests, settings: this.#settings };
    try {
      const sum = sumOf(sums, bytes);
      const { version } = await putWhole(writing, { key: this.#at(key), bytes, sum, condition }, signal);
      return { size: bytes.length, version };
    } catch (error) {
      // That is how S3 says that an object of another version, which it was to replace, is not there at all.
      if (error instanceof BackendError && error.why === 'missing' && typeof condition?.version === 'string')
        throw new BackendError('changed', error.message, { error });
      throw error;
    }
  }

  async list(
    prefix: string,
    { after, max }: { after?: string | undefined; max: number },
    signal: AbortSignal,
  ): Promise<BackendPage> {
    const from = after === undefined ? undefined : this.#at(after);
    const { objects, next } = await listPage(this.#requests, { prefix: this.#at(prefix), after: from, max }, signal);
    const cut = this.#at('').length;
    return {
      objects: objects.map(({ key, size }) => ({ key: key.slice(cut), size })),
      next: next?.slice(cut),
    };
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    await removeObject(this.#requests, this.#at(key), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.#connection.client.destroy();
    this.#presigner?.[Symbol.dispose]();
  }

  #at(key: string): string {
    return under(this.#settings.prefix, key);
  }

  get #reads() {
    return { requests: this.#requests, room: this.#reading, parts: this.#settings.parts };
  }

  /** undefined: the object is not there. Throws where it is the bucket, or where it is there by now. */
  async #missing(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    try {
      for await (const _ of readObject(this.#reads, this.#at(key), { start: 0, end: 1 }, signal)) break;
    } catch (error) {
      if (error instanceof BackendError && error.why === 'missing' && error.scope === 'object') return undefined;
      throw error;
    }
    return await head(this.#requests, this.#at(key), signal);
  }

  /** S3Asked once for all who wait; whoever gives up waiting ends nothing for the others. */
  async #known(signal: AbortSignal): Promise<Features> {
    if (this.#features !== undefined) return this.#features;
    this.#finding ??= this.#find(this.#ending.signal).finally(() => {
      this.#finding = undefined;
    });
    this.#features = await untilAborted(this.#finding, signal);
    return this.#features;
  }

  async #find(signal: AbortSignal): Promise<Features> {
    const stays = this.#shared;
    const key = this.#at(stays ? '_shoal/probe' : `.shoal/probe-${randomUUID()}`);
    const features = await probeFeatures({ plan: this.#reads, settings: this.#settings, key, stays }, signal);
    const told = this.#features?.lacks ?? [];
    for (const lack of features.lacks)
      if (!told.includes(lack))
        this.#log.warn({ backend: this.name, lack }, 'the server of this backend lacks something');
    return features;
  }
}

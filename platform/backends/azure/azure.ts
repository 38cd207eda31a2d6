/**
 * A container of Azure Blob Storage, or of a server that speaks its REST API, as a backend. An object is a block blob, its
 * version the ETag.
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
import { AzureAccess } from './access.ts';
import { blockBytes, writeInBlocks } from './blocks.ts';
import type { AzureSettings } from './config.ts';
import { AzureLists } from './list.ts';
import { probeContainer } from './probe.ts';
import { azureChanged, loadAzure, readAzure } from './read.ts';
import { AzureRequests } from './requests.ts';
import { type AzureWriting, lookUpAzure, putAzure, removeAzure, writeAzure } from './write.ts';

export class AzureBackend implements Backend {
  readonly kind = 'azure';
  readonly name: string;
  readonly #settings: AzureSettings;
  readonly #opening: Omit<Opening, 'metrics'>;
  readonly #web: WebRequester;
  readonly #requests: AzureRequests;
  readonly #lists: AzureLists;
  readonly #reading = new PartRoom(roomBytes);
  readonly #writing: AzureWriting;
  readonly #ending = new AbortController();
  #conditions: boolean | undefined;
  #finding: Promise<boolean> | undefined;

  constructor(settings: AzureSettings, opening: Omit<Opening, 'metrics'>) {
    this.name = opening.name;
    this.#settings = settings;
    this.#opening = opening;
    this.#web = new WebRequester(opening, { ca: settings.ca });
    const access = new AzureAccess(settings, opening, this.#web);
    this.#requests = new AzureRequests(opening.name, settings.container, { web: this.#web, access });
    this.#lists = new AzureLists(this.#requests);
    this.#writing = { requests: this.#requests, room: new PartRoom(roomBytes), parts: settings.parts };
  }

  /** Until the server has been asked: what Azure's can. */
  get can(): Backend['can'] {
    return { conditions: this.#conditions ?? true, list: true, writes: true, records: true };
  }

  get proves(): Proven {
    return this.#opening.shared === true ? 'kept' : 'written';
  }

  async probe(signal: AbortSignal): Promise<void> {
    this.#conditions = await this.#find(signal);
  }

  async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    try {
      return await lookUpAzure(this.#requests, this.#at(key), signal);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async load(key: string, signal: AbortSignal): Promise<LoadedObject | undefined> {
    return await loadAzure(this.#requests, this.#at(key), signal);
  }

  async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const at = this.#at(key);
    const reading = { requests: this.#requests, room: this.#reading, parts: this.#settings.parts };
    if (range.start < range.end) return yield* readAzure(reading, at, range, signal);
    const { version, size } = await lookUpAzure(this.#requests, at, signal);
    if (range.version !== undefined && range.version !== version)
      throw azureChanged({ requests: this.#requests, key: at });
    if (range.end > size) throw this.#requests.wrong('damaged', at, `has ${size} bytes, not ${range.end}`);
  }

  async write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    const whole = source.size <= blockBytes(source.size, this.#settings.parts.size);
    return await (whole ? writeAzure : writeInBlocks)(this.#writing, this.#at(key), source, signal);
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    const at = this.#at(key);
    if (bytes.length > smallBytesMax)
      throw this.#requests.wrong('refused', at, `has more than ${smallBytesMax} bytes: it is to be written, not put`);
    if (condition !== undefined && !(await this.#known(signal)))
      throw this.#requests.wrong('unsupported', at, 'cannot be written under a condition: this server ignores them');
    try {
      return await putAzure(this.#requests, { key: at, bytes: Buffer.from(bytes), condition }, signal);
    } catch (error) {
      // That is how it may be said that an object of another version, which it was to replace, is not there at all.
      if (isMissing(error) && typeof condition?.version === 'string')
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
    const { objects, next } = await this.#lists.page({ prefix: this.#at(prefix), after: from, max }, signal);
    const cut = this.#at('').length;
    return { objects: objects.map(({ key, size }) => ({ key: key.slice(cut), size })), next: next?.slice(cut) };
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    await removeAzure(this.#requests, this.#at(key), signal).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
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
    const stays = this.#opening.shared === true;
    const key = this.#at(stays ? '_shoal/probe' : `.shoal/probe-${randomUUID()}`);
    const conditions = await probeContainer({ requests: this.#requests, lists: this.#lists, key, stays }, signal);
    if (!conditions && this.#conditions !== false)
      this.#opening.log.warn(
        { backend: this.name, lack: 'If-Match' },
        'the server of this backend ignores conditions: of two clusters on this container, one may undo the other',
      );
    return conditions;
  }
}

function isMissing(error: unknown): error is BackendError {
  return error instanceof BackendError && error.why === 'missing' && error.scope === 'object';
}

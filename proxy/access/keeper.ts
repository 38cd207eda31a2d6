/**
 * Sees to it that there is a key to sign tokens with, that another one is made where an operator asks for it, and that agents
 * are told what they are to know of users, rules and keys.
 *
 * Rule 1: every proxy does it, and whoever is first has done it: a write names the version that it was made of.
 * Rule 2: what agents are told is made of documents that were read after the one that it replaces: an older state never
 *         replaces a newer one.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import {
  type AccessDocument,
  type AccessKeys,
  type AccessPublic,
  accessDocument,
  accessKeys,
  accessPublic,
} from '../../core/access/documents.ts';
import { type KeyToAdd, publicKeys, withKey } from '../../core/access/keys.ts';
import { type Parser, parse } from '../../core/contracts/parse.ts';
import type { Followed } from '../../platform/clients/followed.ts';
import type { Logger } from '../../platform/telemetry/log.ts';

/** Two proxies that write at once try again this often. */
const triesMax = 5;
const againMs = 1_000;
/** Keys that count no more are taken from the list now and then. */
const anywayMs = 10 * 60_000;

type AccessName = 'access' | 'access-key' | 'access-public';
/** Of the index. `version` 0: there is none. */
export type AccessDocuments = {
  read(name: AccessName, signal: AbortSignal): Promise<{ readonly version: number; readonly body?: unknown }>;
  /** undefined: another one was written meanwhile. */
  put(
    name: AccessName,
    body: unknown,
    at: { readonly expected: number; readonly signal: AbortSignal },
  ): Promise<number | undefined>;
};

export type KeeperParts = {
  readonly documents: AccessDocuments;
  readonly access: Followed<AccessDocument>;
  readonly keys: Followed<AccessKeys>;
  /** A key that this proxy has in a file: the other half of it is told to all. */
  readonly own: KeyToAdd | undefined;
  readonly draw: () => KeyToAdd;
  readonly nowMs: () => number;
  readonly log: Logger;
};

export class Keeper implements AsyncDisposable {
  readonly #parts: KeeperParts;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    const { access, keys, nowMs, log } = this.#parts;
    let done: readonly unknown[] = [];
    let doneMs = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      const now = [access.value(), keys.value()];
      if (!now.every((value, i) => value === done[i]) || done.length === 0 || nowMs() - doneMs > anywayMs)
        try {
          await this.settle();
          [done, doneMs] = [now, nowMs()];
        } catch (error) {
          if (!signal.aborted) log.debug({ err: error }, 'access: the index was not told');
        }
      await sleep(againMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** Once. Throws what the index says. */
  async settle(): Promise<void> {
    for (let tries = 0; tries < triesMax; tries++) if (await this.#settled()) return;
  }

  /** False: another proxy was first with something. */
  async #settled(): Promise<boolean> {
    const { documents, nowMs } = this.#parts;
    const { signal } = this.#ending;
    const told = await this.#read('access-public', accessPublic);
    const keys = await this.#read('access-key', accessKeys);
    const access = await this.#read('access', accessDocument);
    const { keyGeneration, forgetKeys } = access.value ?? { keyGeneration: 0, forgetKeys: false };
    const added = this.#lacking(keys.value, keyGeneration);
    if (added !== undefined) {
      const forget = forgetKeys && (keys.value?.generation ?? 0) < keyGeneration;
      const made = withKey(keys.value, added, { generation: keyGeneration, forget, nowMs: nowMs() });
      await documents.put('access-key', made, { expected: keys.version, signal });
      this.#parts.log.info({ kid: added.kid, generation: keyGeneration }, 'access: another key signs tokens');
      return false;
    }
    const { users = [], rules = [], issuers = [], certificates } = access.value ?? {};
    const body: AccessPublic = {
      users: users.map(({ name, groups }) => ({ name, groups })),
      rules,
      issuers,
      ...(certificates && { certificates }),
      keys: keys.value === undefined ? [] : publicKeys(keys.value, nowMs()),
    };
    if (isDeepStrictEqual(told.value, body)) return true;
    return (await documents.put('access-public', body, { expected: told.version, signal })) !== undefined;
  }

  /** A key that is to be added. */
  #lacking(keys: AccessKeys | undefined, generation: number): KeyToAdd | undefined {
    const { own, draw } = this.#parts;
    if (own !== undefined) return keys?.keys.some(({ kid }) => kid === own.kid) === true ? undefined : own;
    const any = keys?.keys.some(({ d }) => d !== undefined) === true;
    return any && keys.generation >= generation ? undefined : draw();
  }

  /** What cannot be read counts as if it were not there, but for its version: it is written anew. Of `access` nobody writes it here. */
  async #read<T>(name: AccessName, parser: Parser<T>): Promise<{ version: number; value: T | undefined }> {
    const { version, body } = await this.#parts.documents.read(name, this.#ending.signal);
    const read = version === 0 ? undefined : parse(parser, body, name);
    if (read?.ok === false && name === 'access') throw new Error(`document access: ${read.problem}`);
    return { version, value: read?.ok === true ? read.value : undefined };
  }
}

/**
 * A document of the index as a process follows it: what it says now, for whoever goes by it.
 *
 * Rule 1: what is known is the last version that could be understood. One that cannot be is logged, counted, and said in
 *   /readiness; the one before holds. So it does while no index answers, for however long: how old it is is told.
 * Rule 2: it is kept in a file of the process's own where a directory is given, so that a host that is cut off from the index
 *   begins with it. The file's time is when it was last known to be the newest.
 * Rule 3: an index that has none, where one is known, was lost or is another one: what is known holds, and is said to be old.
 * Rule 4: thousands of hosts ask at different times: each pause has a part that is drawn.
 */

import { mkdir, readFile, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { type DocumentName, type DocumentSaid, documentBytesMax } from '../../core/contracts/documents/documents.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import { replaceFile } from '../members/remembered.ts';
import type { Clock } from '../net/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { CallContext } from './context.ts';
import type { DocumentClient } from './documents.ts';

/** What is known of a document; those who go by it need no more. */
export type Followed<T> = {
  /** Undefined: nothing is known of it yet, or nobody has written it. */
  value(): T | undefined;
  /** Since it was last known to be the newest; infinity: never. It is told of every half minute at most. */
  ageMs(): number;
};

/** No index answers: half of it is drawn. */
const failing = { delayMs: 500, delayMsMax: 4_000 } as const;
/** Between two questions that told nothing, though they were answered at once. */
const restMs = 1_000;
/** An index of the release before knows no documents: it may be replaced while we run. */
const unknownMs = 30_000;
/** Longer than an index takes to be restarted, and more than two questions. */
const oldMs = 90_000;
/** How often the time of the file is set. */
const touchMs = 60_000;
/** A version and its frame around the body. */
const fileBytesMax = documentBytesMax + 1_024;

export type FollowedOptions<T> = {
  readonly name: DocumentName;
  readonly documents: Pick<DocumentClient, 'after'>;
  /** Throws where it does not understand the body: the words are told. */
  readonly parse: (body: unknown) => T;
  /** The process's own directory; undefined: it begins with nothing. */
  readonly dir?: string | undefined;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly metrics: Metrics;
};

export class FollowedDocument<T> implements Followed<T>, AsyncDisposable {
  readonly #options: FollowedOptions<T>;
  readonly #stop = new AbortController();
  readonly #refused;
  readonly #listeners = new Set<(value: T) => void>();
  #version = 0;
  #value: T | undefined;
  /** By the clock. */
  #confirmedMs = Number.NEGATIVE_INFINITY;
  #touchedMs = Number.NEGATIVE_INFINITY;
  /** Why the newest version is not the one that is known. */
  #wrong: string | undefined;
  #failures = 0;
  #running: Promise<void> | undefined;

  constructor(options: FollowedOptions<T>) {
    this.#options = options;
    const { name, metrics } = options;
    const label = ['document'] as const;
    const help = 'Versions of a document of the index that could not be understood';
    this.#refused = metrics.counter('document_refused_total', help, label);
    followedIn(metrics).set(name, this);
  }

  get version(): number {
    return this.#version;
  }

  value(): T | undefined {
    return this.#value;
  }

  ageMs(): number {
    return this.#options.clock.nowMs() - this.#confirmedMs;
  }

  /** Each value from now on. */
  onChange(then: (value: T) => void): Disposable {
    this.#listeners.add(then);
    return { [Symbol.dispose]: () => void this.#listeners.delete(then) };
  }

  /** For /readiness: what somebody should see to. */
  problems(): string[] {
    const { name } = this.#options;
    if (this.#wrong !== undefined) return [`document ${name}: ${this.#wrong}; the version before holds`];
    const ageMs = this.ageMs();
    if (this.#value === undefined || ageMs < oldMs) return [];
    return [`document ${name} is ${Math.round(ageMs / 1_000)} s old, as no index has told of it since: it holds`];
  }

  /** Reads what was kept, and begins to follow. */
  async start(): Promise<void> {
    await this.#load();
    this.#running = this.#follow();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the process ends'));
    await this.#running;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    const ctx = CallContext.begin({ signal });
    while (!signal.aborted) {
      const asked = this.#options.clock.nowMs();
      const pauseMs = await this.#ask(ctx, asked).catch((error: unknown) => this.#failed(error));
      if (pauseMs > 0) await this.#pause(pauseMs * (1 + Math.random() / 2));
    }
  }

  /** How long to wait before the next one. */
  async #ask(ctx: CallContext, askedMs: number): Promise<number> {
    const { name, documents, clock } = this.#options;
    const said = await documents.after(name, this.#version, ctx);
    this.#failures = 0;
    if (said.body !== undefined) {
      await this.#take(said);
      return 0;
    }
    // Where there is none any more, what is known is not the newest.
    if (said.version === this.#version) await this.#confirm();
    return said.againMs ?? Math.max(0, restMs - (clock.nowMs() - askedMs));
  }

  #failed(error: unknown): number {
    this.#failures += 1;
    if (error instanceof ApiError && error.code === 'NOT_FOUND') return unknownMs;
    return backoffMs(failing, this.#failures);
  }

  async #take(said: DocumentSaid): Promise<void> {
    const { name, log } = this.#options;
    const before = this.#version;
    this.#version = said.version;
    try {
      const value = this.#options.parse(said.body);
      this.#wrong = undefined;
      this.#confirmedMs = this.#options.clock.nowMs();
      this.#set(value);
    } catch (error) {
      this.#wrong = `version ${said.version} cannot be understood (${(error as Error).message})`;
      this.#refused.inc({ document: name });
      log.error(
        { document: name, version: said.version, why: (error as Error).message },
        'a document of the index cannot be understood: the one before holds',
      );
      return;
    }
    const words =
      said.version < before
        ? 'a document of the index went back to an older version'
        : 'a document of the index is followed';
    log.info({ document: name, version: said.version }, words);
    await this.#save(said);
    await this.#confirm();
  }

  #set(value: T): void {
    this.#value = value;
    for (const then of this.#listeners) then(value);
  }

  async #load(): Promise<void> {
    const { name, clock, log } = this.#options;
    const file = this.#file();
    if (file === undefined) return;
    try {
      const { mtimeMs, size } = await stat(file);
      if (size > fileBytesMax) throw new Error('it is larger than any document');
      const said = JSON.parse(await readFile(file, 'utf8')) as DocumentSaid;
      if (!Number.isSafeInteger(said.version)) throw new Error('it has no version');
      this.#set(this.#options.parse(said.body));
      this.#version = said.version;
      this.#confirmedMs = clock.nowMs() - Math.max(0, Date.now() - mtimeMs);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        log.warn({ file, why: (error as Error).message }, `what was kept of document ${name} is ignored`);
    }
  }

  async #save({ version, body }: DocumentSaid): Promise<void> {
    const file = this.#file();
    const { dir, log } = this.#options;
    if (file === undefined || dir === undefined) return;
    try {
      await mkdir(join(dir, 'documents'), { recursive: true, mode: 0o700 });
      await replaceFile(file, JSON.stringify({ version, body }), 0o600);
    } catch (error) {
      log.warn({ file, why: (error as Error).message }, 'a document cannot be kept');
    }
  }

  async #confirm(): Promise<void> {
    this.#confirmedMs = this.#options.clock.nowMs();
    const file = this.#file();
    if (file === undefined || this.#confirmedMs - this.#touchedMs < touchMs) return;
    this.#touchedMs = this.#confirmedMs;
    const now = new Date();
    // There may be none yet.
    await utimes(file, now, now).catch(() => undefined);
  }

  #file(): string | undefined {
    const { dir, name } = this.#options;
    return dir === undefined ? undefined : join(dir, 'documents', `${name}.json`);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stop;
      const end = (): void => {
        timer[Symbol.dispose]();
        resolve();
      };
      const timer = this.#options.clock.after(ms, () => {
        signal.removeEventListener('abort', end);
        resolve();
      });
      signal.addEventListener('abort', end, { once: true });
    });
  }
}

type Shown = Pick<FollowedDocument<unknown>, 'ageMs' | 'version'>;
const followed = new WeakMap<Metrics, Map<DocumentName, Shown>>();

/** What a process follows, for its metrics. */
function followedIn(metrics: Metrics): Map<DocumentName, Shown> {
  const known = followed.get(metrics);
  if (known !== undefined) return known;
  const all = new Map<DocumentName, Shown>();
  followed.set(metrics, all);
  const each = (of: (one: Shown) => number) => () =>
    [...all].map(([document, one]) => ({ labels: { document }, value: of(one) }));
  const age = 'Seconds since a document of the index was last known to be the newest';
  metrics.observedEach('document_age_seconds', age, {
    labels: ['document'],
    read: each((one) => one.ageMs() / 1_000),
  });
  metrics.observedEach('document_version', 'The version of a document of the index that was last heard of', {
    labels: ['document'],
    read: each(({ version }) => version),
  });
  return all;
}

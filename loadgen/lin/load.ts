/**
 * Callers that read, write, compare-and-set and delete tags at once, each by an index client of its own as agents and
 * proxies have it, and note what they were told.
 *
 * Rule: each write is a manifest of its own, and has a name. A read that fails is nothing, and counts for none. A write that
 *   fails without a clear no may have been done, or be done later: its caller waits, as a client does, and asks for it again
 *   by the same name until it is told what came of it. Only where that takes too long nobody knows.
 */

import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../core/contracts/errors.ts';
import type { ManifestPut, TagChanged, TagVersion } from '../../core/contracts/index-api.ts';
import type { NamedAt } from '../../core/contracts/named.ts';
import type { Digest } from '../../core/digest.ts';
import { type Prng, prng } from '../../core/prng.ts';
import { CallContext } from '../../platform/clients/context.ts';
import type { HttpClient } from '../../platform/clients/http.ts';
import { IndexClient, type Written } from '../../platform/clients/index-client.ts';
import type { Members } from '../../platform/members/members.ts';
import type { Deletion, Operation, Read, Write } from './history.ts';

export const repo = 'lin/tags';
/** So that faults meet operations, and not one lane does all. */
const thinkMsMax = 50;
/** What a 503 asks for (`Retry-After`). */
const awayMs = 1_000;
/**
 * How long a write is asked for again. A bucket remembers the newest 32 names of a cell: with a few tags others write so many
 * in about a minute.
 */
const askedMsMax = 30_000;

export type Histories = ReadonlyMap<string, Operation[]>;

export type LoadOptions = { readonly operations: number; readonly seed: number };

export async function load(
  callers: readonly Members<HttpClient>[],
  histories: Histories,
  { operations, seed }: LoadOptions,
): Promise<void> {
  let left = operations;
  const lane = async (indexes: Members<HttpClient>, no: number): Promise<void> => {
    const caller = new Caller(indexes, histories, { by: `caller ${no}`, random: prng(seed * 1_000 + no) });
    while (left > 0) {
      if (await caller.next()) left -= 1;
      await sleep(caller.random.unit() * thinkMsMax);
    }
  };
  await Promise.all(callers.map(lane));
}

/** Every tag is read once more. */
export async function lastReads(indexes: Members<HttpClient>, histories: Histories): Promise<void> {
  const caller = new Caller(indexes, histories, { by: 'the last reader', random: prng(0) });
  for (const tag of histories.keys()) await caller.read(tag);
}

let manifests = 0;

class Caller {
  readonly random: Prng;
  readonly #by: string;
  readonly #indexes: Members<HttpClient>;
  readonly #client: IndexClient;
  readonly #histories: Histories;
  /** Where each tag was when it was read last: what compare-and-set compares with. */
  readonly #seen = new Map<string, TagVersion | null>();

  constructor(
    indexes: Members<HttpClient>,
    histories: Histories,
    { by, random }: { readonly by: string; readonly random: Prng },
  ) {
    this.#indexes = indexes;
    this.#client = new IndexClient(indexes);
    this.#histories = histories;
    this.#by = by;
    this.random = random;
  }

  /** Whether it came to something: a read that failed did not. */
  async next(): Promise<boolean> {
    const tags = [...this.#histories.keys()];
    const tag = tags[this.random.below(tags.length)] as string;
    const seen = this.#seen.get(tag);
    const what = this.random.below(10);
    if (what < 5 || (what >= 8 && seen === undefined)) return this.read(tag);
    if (what < 7) return this.#write(tag, undefined);
    if (what === 7) return this.#delete(tag, undefined);
    if (what === 8 || seen === null) return this.#write(tag, seen);
    return this.#delete(tag, seen);
  }

  async read(tag: string): Promise<boolean> {
    const beganMs = performance.now();
    try {
      const found = await this.#client.tag(repo, tag, CallContext.begin());
      const saw: Read['saw'] = found === undefined ? null : { digest: found.digest, version: found.version };
      this.#seen.set(tag, found === undefined ? null : (found.version ?? null));
      return this.#note(tag, beganMs, { kind: 'read', saw });
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'UNAVAILABLE') throw error;
      await sleep(awayMs);
      return false;
    }
  }

  async #write(tag: string, after: TagVersion | null | undefined): Promise<boolean> {
    const beganMs = performance.now();
    const digest: Digest =
      `sha256:${createHash('sha256').update(`${process.pid} ${manifests++}`).digest('hex')}` as Digest;
    const image: ManifestPut = {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      size: 500,
      tags: [tag],
      blobs: [],
      manifests: [],
    };
    const only = after === undefined ? {} : { after };
    const told = await this.#told((client) =>
      client.putManifest(repo, digest, { ...image, ...only }, CallContext.begin()),
    );
    return this.#note(tag, beganMs, { kind: 'write', digest, ...only, told: told as Write['told'] });
  }

  async #delete(tag: string, after: TagVersion | undefined): Promise<boolean> {
    const beganMs = performance.now();
    const told = await this.#told((client) => client.deleteTag(repo, tag, CallContext.begin(), after));
    return this.#note(tag, beganMs, { kind: 'delete', ...(after === undefined ? {} : { after }), told });
  }

  /** By one name, until somebody tells. */
  async #told(write: (client: IndexClient) => Promise<Written | undefined>): Promise<Deletion['told']> {
    const untilMs = performance.now() + askedMsMax;
    const named: NamedAt = { write: randomBytes(16).toString('hex') };
    let told = await outcome(write(new IndexClient(this.#indexes, named)));
    while (told.kind === 'unknown' && performance.now() < untilMs) {
      await sleep(awayMs);
      told = await outcome(write(new IndexClient(this.#indexes, { ...named, again: true })));
    }
    return told;
  }

  #note(tag: string, beganMs: number, what: Read | Write | Deletion): true {
    const unknown = what.kind !== 'read' && what.told.kind === 'unknown';
    const endedMs = unknown ? Number.POSITIVE_INFINITY : performance.now();
    this.#histories.get(tag)?.push({ by: this.#by, beganMs, endedMs, ...what });
    return true;
  }
}

async function outcome(write: Promise<Written | undefined>): Promise<Deletion['told']> {
  try {
    const written = await write;
    return written === undefined ? { kind: 'absent' } : { kind: 'done', version: written.version };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === 'TAG_CHANGED') return { kind: 'changed', version: (error.detail as TagChanged).version };
    if (error.code === 'UNAVAILABLE') return { kind: 'unknown' };
    throw error;
  }
}

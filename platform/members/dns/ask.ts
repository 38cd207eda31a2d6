/**
 * One question to DNS about who is there: addresses of a name, or its services.
 *
 * Rule 1: it ends within `limitMs`, whatever the resolver does.
 * Rule 2: an answer is taken whole or not at all: one record that no member can have, or more than `membersMax`, refuses it.
 * Rule 3: that there is nobody is no answer either (`empty`): whoever asks keeps whom it had.
 */

import { isIP } from 'node:net';
import { membersMax } from '../../../core/contracts/members.ts';
import { type DnsResolver, dnsResolver } from '../../net/dns.ts';
import type { ListedMember } from '../list.ts';
import type { DnsSource } from '../source.ts';
import { namesOf, type Search } from './search.ts';

/** All of a question: names that are searched, one try after the other. */
const limitMs = 5_000;
/** Of one try. */
const tryMs = 1_500;
const tries = 2;
/** What a resolver does not tell the time of is asked again when it is due anyway. */
const noTtl = 0;

export type DnsFailure = 'empty' | 'timeout' | 'wrong' | 'too-many' | 'failed';

/** Why there is no answer. */
export class DnsError extends Error {
  override readonly name = 'DnsError';
  readonly why: DnsFailure;
  constructor(why: DnsFailure, message: string) {
    super(message);
    this.why = why;
  }
}

export type DnsAnswer = {
  readonly members: readonly ListedMember[];
  /** For how long it holds, as far as DNS says. */
  readonly ttlMs: number;
};

/** Of a family: undefined, it could not be asked. */
type Family = { readonly addresses: readonly string[]; readonly ttlS: number } | undefined;

export type DnsQuestions = {
  /** `host` or `host:port` of each resolver to ask; empty: as the system does. */
  readonly servers: readonly string[];
  readonly search: Search;
};

export class DnsAsker {
  readonly #o: DnsQuestions;
  /** Of the names that one stands for, the one that answered. */
  readonly #answering = new Map<string, string>();
  /** What a family answered last: one that cannot be asked now keeps its addresses. */
  readonly #before = new Map<string, readonly string[]>();

  constructor(o: DnsQuestions) {
    this.#o = o;
  }

  /** Throws DnsError. */
  async ask(source: DnsSource): Promise<DnsAnswer> {
    const resolver = dnsResolver({ servers: this.#o.servers, timeoutMs: tryMs, tries });
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new DnsError('timeout', `no answer for ${source.name} within ${limitMs} ms`));
      resolver.cancel();
    }, limitMs);
    timer.unref();
    try {
      return checked(source, await Promise.race([this.#names(source, resolver), late.promise]));
    } finally {
      clearTimeout(timer);
    }
  }

  /** The first of the names that there is. */
  async #names(source: DnsSource, resolver: DnsResolver): Promise<DnsAnswer> {
    const all = namesOf(source.name, this.#o.search);
    const known = this.#answering.get(source.name);
    const names = known === undefined ? all : [known, ...all.filter((name) => name !== known)];
    let empty: DnsError | undefined;
    for (const name of names) {
      try {
        const answer = await (source.kind === 'services'
          ? services(source, name, resolver)
          : this.#addresses(source, name, resolver));
        this.#answering.set(source.name, name);
        return answer;
      } catch (error) {
        const failure = failureOf(error, name);
        if (failure.why !== 'empty') throw failure;
        empty ??= failure;
      }
    }
    throw empty ?? new DnsError('empty', `${source.name}: there is no such name`);
  }

  async #addresses(source: DnsSource, name: string, resolver: DnsResolver): Promise<DnsAnswer> {
    const family = async (asked: Promise<{ address: string; ttl: number }[]>): Promise<Family> => {
      try {
        const records = await asked;
        return { addresses: records.map(({ address }) => address), ttlS: Math.min(...records.map(({ ttl }) => ttl)) };
      } catch (error) {
        if (failureOf(error, name).why === 'empty') return { addresses: [], ttlS: Number.POSITIVE_INFINITY };
        failures.push(error);
        return undefined;
      }
    };
    const failures: unknown[] = [];
    const four = await Promise.all([
      family(resolver.resolve4(name, { ttl: true })),
      family(resolver.resolve6(name, { ttl: true })),
    ]);
    if (four.every((one) => one === undefined)) throw failures[0];
    const addresses = four.flatMap((one, i) => {
      const key = `${i} ${source.text}`;
      if (one !== undefined) this.#before.set(key, one.addresses);
      return this.#before.get(key) ?? [];
    });
    if (four.every((one) => one === undefined || one.addresses.length === 0)) {
      throw failures[0] ?? new DnsError('empty', `${name} has no address`);
    }
    const { scheme, port, path } = source;
    const members = addresses.map((address): ListedMember => {
      const url = `${scheme}://${isIP(address) === 6 ? `[${address}]` : address}:${port}${path}`;
      return { url: canonical(url, path), host: `${source.name.replace(/\.$/, '')}:${port}`, weight: 1, priority: 0 };
    });
    const ttlS = Math.min(...four.flatMap((one) => (one === undefined ? [] : [one.ttlS])));
    return { members, ttlMs: Number.isFinite(ttlS) ? 1_000 * ttlS : noTtl };
  }
}

async function services({ scheme, path }: DnsSource, name: string, resolver: DnsResolver): Promise<DnsAnswer> {
  const records = await resolver.resolveSrv(name);
  const members = records.map(({ name: target, port, weight, priority }): ListedMember => {
    if (target === '' || target === '.' || port === 0)
      throw new DnsError('wrong', `${name} names a service at ${JSON.stringify(target)}, port ${port}`);
    const url = canonical(`${scheme}://${target.replace(/\.$/, '')}:${port}${path}`, path);
    return { url, weight: Math.max(1, weight), priority };
  });
  // Node does not tell for how long they hold.
  return { members, ttlMs: noTtl };
}

/** As a configuration writes it, and compares. */
function canonical(url: string, path: string): string {
  if (!URL.canParse(url)) throw new DnsError('wrong', `no member can be at ${url.slice(0, 200)}`);
  return new URL(url).origin + path;
}

function checked({ name }: DnsSource, answer: DnsAnswer): DnsAnswer {
  const byUrl = new Map(answer.members.map((member) => [member.url, member]));
  if (byUrl.size === 0) throw new DnsError('empty', `${name}: nobody is there`);
  if (byUrl.size > membersMax)
    throw new DnsError('too-many', `${name} has ${byUrl.size} members, and ${membersMax} is the most that are taken`);
  return { ...answer, members: [...byUrl.values()] };
}

const EMPTY: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA']);
const LATE: ReadonlySet<string> = new Set(['ETIMEOUT', 'ECANCELLED']);

function failureOf(error: unknown, name: string): DnsError {
  if (error instanceof DnsError) return error;
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (EMPTY.has(code))
    return new DnsError('empty', `${name}: ${code === 'ENOTFOUND' ? 'there is no such name' : 'nobody is there'}`);
  if (LATE.has(code)) return new DnsError('timeout', `the resolver did not answer for ${name}`);
  return new DnsError(code === 'EBADRESP' ? 'wrong' : 'failed', `${name}: ${message}`);
}

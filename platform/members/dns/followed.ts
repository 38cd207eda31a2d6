/**
 * A list of members that DNS tells of, in whole or in part, followed while the process lives.
 *
 * Rule 1: each entry keeps its last good answer. A resolver that fails, hangs, says that there is nobody, answers what
 *         cannot be, or far too many, changes nothing: one line says so when that begins and one when it is over.
 * Rule 2: an entry is asked again after `refreshMs`, or when its answer has run out if that is later, but not later than
 *         `refreshMsMax`; a quarter more or less, for thousands ask. Where members do not answer it is asked sooner, once.
 * Rule 3: a start waits for the first answers, `firstMsMax` at most; what was known before it stands in until they come.
 */

import { backoffMs } from '../../../core/retry/retry.ts';
import type { LineLog } from '../../telemetry/log.ts';
import { fixedList, type ListedMember, type MemberList } from '../list.ts';
import { type DnsSource, type MemberSource, sourceOf } from '../source.ts';
import { type DnsAnswer, type DnsAsker, DnsError, type DnsFailure } from './ask.ts';

const refreshMsMax = 300_000;
/** Of a start. */
const firstMsMax = 2_000;
/** After a failure. */
const again = { delayMs: 1_000, delayMsMax: 30_000 } as const;

export type FollowOptions = {
  readonly asker: Pick<DnsAsker, 'ask'>;
  readonly refreshMs: number;
  readonly log: Pick<LineLog, 'info' | 'warn'>;
  /** Told of each question. */
  readonly onAsked?: ((source: string, how: 'ok' | DnsFailure) => void) | undefined;
  /** What was known of an entry before this process was started; and what is now. */
  readonly memory?: {
    read(source: string): readonly ListedMember[] | undefined;
    write(source: string, members: readonly ListedMember[]): void;
  };
};

/** Of one entry. */
type Followed = {
  readonly source: DnsSource;
  members: readonly ListedMember[];
  failures: number;
  /** When somebody was asked last; and whether that was because of doubt. */
  doubted: boolean;
  timer: NodeJS.Timeout | undefined;
  asking: boolean;
};

/** The list of `entries`; where none of them is of DNS, nothing is ever asked. Closed with the stack. */
export async function followList(
  entries: readonly string[],
  options: FollowOptions,
  stack: AsyncDisposableStack,
): Promise<MemberList> {
  const sources = entries.flatMap((text) => sourceOf(text) ?? []);
  if (sources.every(({ kind }) => kind === 'url')) return fixedList(entries);
  const list = stack.use(new FollowedList(sources, options));
  await list.first();
  return list;
}

class FollowedList implements MemberList, Disposable {
  readonly #options: FollowOptions;
  readonly #sources: readonly MemberSource[];
  readonly #followed = new Map<MemberSource, Followed>();
  readonly #listeners = new Set<() => void>();
  #listed: ReadonlyMap<string, ListedMember> = new Map();
  #closed = false;

  constructor(sources: readonly MemberSource[], options: FollowOptions) {
    this.#options = options;
    this.#sources = sources;
    for (const source of sources) {
      if (source.kind === 'url') continue;
      const members = options.memory?.read(source.text) ?? [];
      const fresh = { failures: 0, doubted: false, timer: undefined, asking: false };
      this.#followed.set(source, { source, members, ...fresh });
    }
    this.#listed = this.#all();
  }

  get urls(): readonly string[] {
    return [...this.#listed.keys()];
  }

  about(url: string): ListedMember | undefined {
    return this.#listed.get(url);
  }

  doubt(): void {
    for (const one of this.#followed.values()) {
      if (one.doubted || one.asking) continue;
      one.doubted = true;
      this.#later(one, (Math.random() * this.#options.refreshMs) / 4);
    }
  }

  onChange(then: () => void): Disposable {
    const listener = (): void => then();
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Everything was asked once, or enough time has passed. */
  async first(): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, firstMsMax);
    const asked = Promise.all([...this.#followed.values()].map((one) => this.#ask(one)));
    await Promise.race([asked, late.promise]);
    clearTimeout(timer);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const { timer } of this.#followed.values()) clearTimeout(timer);
  }

  #later(one: Followed, afterMs: number): void {
    clearTimeout(one.timer);
    if (this.#closed) return;
    one.timer = setTimeout(() => void this.#ask(one), afterMs);
    one.timer.unref();
  }

  async #ask(one: Followed): Promise<void> {
    if (one.asking) return;
    one.asking = true;
    let afterMs: number;
    try {
      const answer = await this.#options.asker.ask(one.source);
      this.#options.onAsked?.(one.source.text, 'ok');
      this.#took(one, answer);
      one.doubted = false;
      afterMs = Math.min(refreshMsMax, Math.max(this.#options.refreshMs, answer.ttlMs));
    } catch (error) {
      if (!(error instanceof DnsError)) throw error;
      this.#options.onAsked?.(one.source.text, error.why);
      this.#failed(one, error);
      afterMs = Math.min(this.#options.refreshMs, backoffMs(again, one.failures));
    }
    one.asking = false;
    this.#later(one, (0.75 + Math.random() / 2) * afterMs);
  }

  #failed(one: Followed, error: DnsError): void {
    one.failures += 1;
    if (one.failures > 1) return;
    const { text: list } = one.source;
    const members = one.members.length;
    const kept = members === 0 ? 'and nobody is known from before' : 'the last list stays';
    this.#options.log.warn({ list, why: error.message, members }, `DNS does not tell who is there: ${kept}`);
  }

  #took(one: Followed, { members }: DnsAnswer): void {
    const { log, memory } = this.#options;
    const { text: list } = one.source;
    if (one.failures > 0) log.info({ list, failures: one.failures }, 'DNS tells again who is there');
    one.failures = 0;
    const before = JSON.stringify(one.members);
    one.members = members.toSorted((a, b) => (a.url < b.url ? -1 : 1));
    if (JSON.stringify(one.members) === before || this.#closed) return;
    memory?.write(list, one.members);
    this.#listed = this.#all();
    log.info({ list, members: one.members.map(({ url }) => url) }, 'members, as DNS tells');
    for (const listener of [...this.#listeners]) listener();
  }

  /** Each once; what is written out counts before what DNS says. */
  #all(): ReadonlyMap<string, ListedMember> {
    const all = new Map<string, ListedMember>();
    const put = (member: ListedMember): void => {
      if (!all.has(member.url)) all.set(member.url, member);
    };
    for (const source of this.#sources) if (source.kind === 'url') put({ url: source.url, weight: 1, priority: 0 });
    for (const { members } of this.#followed.values()) for (const member of members) put(member);
    return all;
  }
}

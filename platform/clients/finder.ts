/**
 * Blobs that are asked of the origins themselves, where no tracker answers.
 *
 * Rule 1: a blob's owners are asked at once, all others where those said no or are silent for `hedgeMs`, since a
 *   blob that was just pushed lies elsewhere. 'unknown' is said only where every origin said no.
 * Rule 2: hosts that lose their trackers at the same moment are no storm: questions of one moment go as one request
 *   (OriginClient), so many at a time, and what was found is not asked again for a while.
 * Rule 3: of a blob that an origin still receives it is told how far that is, to who takes it so, as a tracker does; less often,
 *   since each host asks for itself.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { BlobInfo, GrowingInfo } from '../../core/contracts/origin.ts';
import type { AnnounceAnswer, Located, LocatedGrowing } from '../../core/contracts/tracker.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import { hedgeMs, type Members } from '../members/members.ts';
import type { Time } from '../net/clock.ts';
import { CallContext } from './context.ts';
import { unavailable } from './copies.ts';
import type { OriginClient } from './origin.ts';

/** As a tracker does: one of two owners is enough, and two seeds are better than one. */
const ownersAtOnce = 2;
/** Blobs asked of at a time; whoever wants more asks again, as a swarm that has no peers does by itself. */
const asksMax = 256;
/** An origin that is restarted has another name for its peers; nothing else of what was found changes. */
const knownMs = 10_000;
/** How far one is that grows: hosts that read at its edge are behind by this much, and a thousand of them ask 2,000 times a second. */
const growingMs = 500;
/** What is remembered; a blob that came whole is not. */
const knownMax = 1_024;
/** Longer than anybody waits. */
const askMsMax = 5_000;

/** Of the origins, what is needed here. */
export type AskedOrigins = Pick<Members<OriginClient>, 'urls'> &
  Partial<Pick<Members<OriginClient>, 'unheard'>> & {
    order(digest: Digest): readonly Asked[];
  };
type Asked = Pick<OriginClient, 'info' | 'located'>;

export type FinderOptions = {
  /** Nobody, while none has been told of. */
  readonly origins: AskedOrigins;
  readonly clock: Time;
  /** Told of every question that ended. */
  readonly onFound?: (result: 'known' | 'unknown' | 'unavailable') => void;
};

type Known = { readonly answer: AnnounceAnswer; readonly untilMs: number };

export class OriginFinder {
  readonly #options: FinderOptions;
  readonly #known = new Map<Digest, Known>();
  readonly #asking = new Set<Digest>();

  constructor(options: FinderOptions) {
    this.#options = options;
  }

  /** The origins' base URLs; empty while nobody has told. */
  get urls(): readonly string[] {
    return this.#options.origins.urls;
  }

  /**
   * Tells who holds the blob: of the first one at once, of another owner when it answers. `growing`: or how far it is.
   * Never rejects.
   */
  async find(blob: BlobIn, tell: (answer: AnnounceAnswer) => void, growing = false): Promise<void> {
    const { digest } = blob;
    const known = this.#remembered(digest);
    if (known !== undefined && (growing || known.growth === undefined)) return tell(known);
    const { origins } = this.#options;
    if (origins.urls.length === 0) return tell({ digest, peers: [], error: 'unavailable' });
    if (this.#asking.has(digest) || this.#asking.size >= asksMax) return;
    this.#asking.add(digest);
    let answer: AnnounceAnswer | undefined;
    let coming = false;
    const found = (info: BlobInfo | GrowingInfo): void => {
      const next = growing || 'meta' in info ? further(answer, info) : undefined;
      if (next === undefined) coming ||= 'growth' in info;
      else {
        answer = next;
        tell(answer);
      }
    };
    using ctx = CallContext.begin().within(askMsMax);
    try {
      const failures = await askAll(origins, { blob, ask: (client) => client.info(blob, ctx), ctx, found });
      const error = coming || failures.length > 0 ? 'unavailable' : 'unknown';
      if (answer !== undefined) this.#remember(answer);
      else tell({ digest, peers: [], error });
      this.#options.onFound?.(answer !== undefined ? 'known' : error);
    } finally {
      this.#asking.delete(digest);
    }
  }

  /** What the first origin that can serve the blob says, downloading nothing; undefined where all said no. Throws UNAVAILABLE. */
  async locate(blob: BlobIn, ctx: CallContext): Promise<Located | LocatedGrowing | undefined> {
    const { digest } = blob;
    const { origins } = this.#options;
    if (origins.urls.length === 0) throw new ApiError('UNAVAILABLE', 'no tracker has told yet which origins there are');
    const first = Promise.withResolvers<Located | LocatedGrowing>();
    const found = (info: BlobInfo | GrowingInfo): void =>
      first.resolve(
        'growth' in info ? { digest, growth: info.growth } : { digest, meta: info.meta, inline: info.inline },
      );
    const all = askAll(origins, { blob, ask: (client) => client.located(blob, ctx), ctx, found });
    // Where one has been found, it was so before all have ended.
    const none = all.then((failures) => {
      if (failures.length > 0) throw unavailable(digest, failures);
      return undefined;
    });
    return await Promise.race([first.promise, none]);
  }

  #remembered(digest: Digest): AnnounceAnswer | undefined {
    const known = this.#known.get(digest);
    if (known === undefined || known.untilMs > this.#options.clock.nowMs()) return known?.answer;
    this.#known.delete(digest);
    return undefined;
  }

  #remember(answer: AnnounceAnswer): void {
    if (answer.inline !== undefined) return;
    const forMs = answer.growth === undefined ? knownMs : growingMs;
    this.#known.set(answer.digest, { answer, untilMs: this.#options.clock.nowMs() + forMs });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= knownMax) return;
      this.#known.delete(oldest);
    }
  }
}

/** What two origins say together; undefined: the second one nothing new. Whoever holds it whole knows best. */
function further(before: AnnounceAnswer | undefined, info: BlobInfo | GrowingInfo): AnnounceAnswer | undefined {
  const { digest, peer } = info;
  const told = before?.peers ?? [];
  const others = told.filter(({ node }) => node !== peer.node);
  if ('meta' in info) return { digest, meta: info.meta, inline: info.inline, peers: [...others, peer] };
  const { growth } = info;
  if (before === undefined) return { digest, growth, peers: [peer] };
  const further = before.growth !== undefined && growth.known > before.growth.known;
  if (!further && others.length < told.length) return undefined;
  return { ...before, ...(further && { growth }), peers: [...others, peer] };
}

type Question = {
  readonly blob: BlobIn;
  readonly ask: (client: Asked) => Promise<BlobInfo | GrowingInfo | undefined>;
  readonly ctx: CallContext;
  readonly found: (info: BlobInfo | GrowingInfo) => void;
};

/** Asks the owners, then the others; `found` is told of each that holds it. The failures of those that did not answer. */
async function askAll(origins: AskedOrigins, { blob, ask: question, ctx, found }: Question): Promise<unknown[]> {
  const failures: unknown[] = [];
  const order = origins.order(blob.digest);
  const owners = Promise.withResolvers<void>();
  let known = false;
  const ask = async (client: Asked): Promise<void> => {
    try {
      const info = await question(client);
      if (info === undefined) return;
      known = true;
      found(info);
    } catch (error) {
      if (error instanceof ApiError && error.code === 'BLOB_UNKNOWN') return;
      if (!ctx.signal.aborted && !(error instanceof ApiError)) throw error;
      failures.push(error);
    }
  };
  const asked = Promise.all(order.slice(0, ownersAtOnce).map(ask));
  asked.then(() => owners.resolve(), owners.reject);
  const silent = setTimeout(owners.resolve, hedgeMs);
  try {
    await owners.promise;
  } finally {
    clearTimeout(silent);
  }
  if (!known) await Promise.all(order.slice(ownersAtOnce).map(ask));
  // An owner that was silent may hold it all the same.
  await asked;
  return [...failures, ...(origins.unheard ?? []).map((why) => new ApiError('UNAVAILABLE', `origin ${why}`))];
}

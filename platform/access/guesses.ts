/**
 * What wrong passwords cost who tries them: time, twice as much with each.
 *
 * Rule 1: they are counted for an address, and for a user at an address, and never for a user: whoever guesses keeps nobody
 *         out who comes from elsewhere.
 * Rule 2: an attempt counts from its beginning: many at once are no way round. One that was right does not count.
 * Rule 3: tables are bounded. Whoever comes from more addresses than that has as many guesses as hashes can be compared
 *         (hashes.ts).
 */

/** A person who mistypes is not held up. */
const freePerUser = 4;
/** Many hosts may stand behind one address. */
const freePerAddress = 40;
const firstWaitMs = 1_000;
const userWaitMsMax = 60_000;
const addressWaitMsMax = 30_000;
/** Whoever was quiet for so long begins anew. */
const forgetMs = 15 * 60_000;
/** Some 2 MB. */
const rememberedMax = 10_000;

type Count = { wrong: number; untilMs: number; lastMs: number };
type Limit = { readonly free: number; readonly waitMsMax: number };

const LIMITS = {
  user: { free: freePerUser, waitMsMax: userWaitMsMax },
  address: { free: freePerAddress, waitMsMax: addressWaitMsMax },
} as const satisfies Record<string, Limit>;

export type Attempt = {
  /** It was right. */
  right(): void;
  /** Nothing came of it: nobody looked. */
  void(): void;
};

export class Guesses {
  readonly #byAddress = new Map<string, Count>();
  readonly #byUser = new Map<string, Count>();

  /** For how long there may be no attempt. */
  leftMs(address: string, name: string, nowMs: number): number {
    const counts = [this.#byUser.get(`${address} ${name}`), this.#byAddress.get(address)];
    return Math.max(0, ...counts.map((count) => (count === undefined ? 0 : count.untilMs - nowMs)));
  }

  /** An attempt that begins now; or for how many milliseconds there may be none. */
  begin(address: string, name: string, nowMs: number): Attempt | number {
    const user = `${address} ${name}`;
    const counts = [countOf(this.#byUser, user, nowMs), countOf(this.#byAddress, address, nowMs)] as const;
    const waitMs = Math.max(...counts.map(({ untilMs }) => untilMs - nowMs));
    if (waitMs > 0) return Math.ceil(waitMs);
    add(counts[0], LIMITS.user, nowMs);
    add(counts[1], LIMITS.address, nowMs);
    const back = (): void => {
      for (const count of counts) {
        count.wrong = Math.max(0, count.wrong - 1);
        count.untilMs = 0;
      }
    };
    return {
      right: () => {
        back();
        this.#byUser.delete(user);
      },
      void: back,
    };
  }
}

function countOf(table: Map<string, Count>, key: string, nowMs: number): Count {
  let count = table.get(key);
  if (count === undefined || nowMs - count.lastMs > forgetMs) count = { wrong: 0, untilMs: 0, lastMs: nowMs };
  // Last in order: the first one is whoever was quiet for longest.
  table.delete(key);
  table.set(key, count);
  if (table.size > rememberedMax) table.delete(table.keys().next().value as string);
  return count;
}

function add(count: Count, { free, waitMsMax }: Limit, nowMs: number): void {
  count.wrong += 1;
  count.lastMs = nowMs;
  const beyond = count.wrong - free;
  if (beyond > 0) count.untilMs = nowMs + Math.min(waitMsMax, firstWaitMs * 2 ** Math.min(beyond - 1, 20));
}

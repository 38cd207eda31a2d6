/**
 * Which origin writes a blob back: of those that hold it, the first live one in the order of its owners. Every origin that
 * promised it comes to the same answer, and asks that one; nobody has to be elected.
 *
 * Rule 1: who is asked holds a row of its own from then on: the asker may forget it only once the backend has confirmed.
 * Rule 2: an owner that does not hold the blob yet is given `handoverMs` to get it; one that does not answer, or whose
 *         write-backs have not moved for `ownerPatienceMs`, is passed over.
 * Rule 3: as long as one that answers has not said who it is, the order is not known: that is waited for as long.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { WriteBackReply } from '../../core/contracts/origin.ts';
import type { BlobIn } from '../../core/digest.ts';
import type { CallContext } from '../../platform/clients/context.ts';
import type { Owed } from './owed.ts';

/** The hand-over of a blob begins with its commit; of a large one it takes longer, and then whoever has it goes on. */
export const handoverMs = 10_000;
/** Write-backs that go on move bytes, or end. */
export const ownerPatienceMs = 60_000;
/** What was heard so long ago says nothing about now. */
const heardMs = 3 * ownerPatienceMs;

export type Askable = {
  readonly pulse: { readonly silent: boolean };
  writeBack(blob: BlobIn, ctx: CallContext): Promise<WriteBackReply | 'not there' | undefined>;
};

export type TurnsOptions = {
  readonly origins: {
    owners(key: string): readonly { readonly id: string }[];
    byId(id: string): Askable | undefined;
    /** Those of whom it is not known who they are: nobody can ask them as owners, and they may hold it. */
    readonly strangers: readonly Pick<Askable, 'pulse'>[];
  };
  readonly self: string;
  readonly nowMs: () => number;
};

/** theirs: `failing` is why it does not come to it. nobody: whoever was heard does not hold it; `heard`: that was everybody. */
export type Turn =
  | { readonly kind: 'ours' }
  | { readonly kind: 'written' }
  | { readonly kind: 'theirs'; readonly failing: string | undefined }
  | { readonly kind: 'nobody'; readonly heard: boolean };

type Heard = { readonly progress: number | undefined; readonly sinceMs: number; readonly lastMs: number };

/** For one backend. */
export class Turns {
  readonly #options: TurnsOptions;
  readonly #heard = new Map<string, Heard>();

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** `here`: this origin holds it whole; `owedMs`: for how long it has owed it. */
  async of(owed: Owed, own: { readonly here: boolean; readonly owedMs: number }, ctx: CallContext): Promise<Turn> {
    const { origins, self } = this.#options;
    let heard = origins.strangers.length === 0;
    const unplaced = origins.strangers.some(({ pulse }) => !pulse.silent);
    if (unplaced && own.owedMs < handoverMs) return { kind: 'theirs', failing: undefined };
    for (const { id } of origins.owners(owed.digest)) {
      if (id === self && own.here) return { kind: 'ours' };
      const origin = origins.byId(id);
      if (origin === undefined) {
        // One that cannot be reached may hold it.
        if (id !== self) heard = false;
        continue;
      }
      // Where we do not hold it, whoever may is asked, whatever it takes.
      if (origin.pulse.silent && own.here) continue;
      const told = await this.#ask(id, { origin, owed }, ctx);
      if (told === 'unheard') heard = false;
      else if (told === 'unknown' && own.owedMs < handoverMs) return { kind: 'theirs', failing: undefined };
      else if (typeof told === 'object') return told;
    }
    return { kind: 'nobody', heard };
  }

  async #ask(
    id: string,
    { origin, owed }: { readonly origin: Askable; readonly owed: Owed },
    ctx: CallContext,
  ): Promise<Turn | 'stuck' | 'unknown' | 'not there' | 'unheard'> {
    try {
      const reply = await origin.writeBack({ digest: owed.digest, repo: owed.repo }, ctx);
      if (reply === undefined) return 'unknown';
      if (reply === 'not there') return 'not there';
      if (reply.state === 'written') return { kind: 'written' };
      return this.#moves(id, reply.progress) ? { kind: 'theirs', failing: reply.failing } : 'stuck';
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      ctx.signal.throwIfAborted();
      return 'unheard';
    }
  }

  /** Whether its write-backs have moved lately, as far as was heard. */
  #moves(id: string, progress: number | undefined): boolean {
    const nowMs = this.#options.nowMs();
    const before = this.#heard.get(id);
    const same = before !== undefined && before.progress === progress && nowMs - before.lastMs < heardMs;
    const sinceMs = same ? before.sinceMs : nowMs;
    this.#heard.set(id, { progress, sinceMs, lastMs: nowMs });
    return nowMs - sinceMs < ownerPatienceMs;
  }
}

/** What this origin may remove to make room: asked of the index it goes by, which condemns what nothing links to. */

import type { CondemnReply } from '../core/contracts/index-api.ts';
import type { Digest } from '../core/digest.ts';
import { CallContext } from '../platform/clients/context.ts';
import type { UnneededAnswer } from '../platform/store/room/let-go.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import { doubtedError, type KnownIndex } from './known-index.ts';

export type CondemnedOptions = {
  readonly index: { condemn(digests: readonly Digest[], ctx: CallContext): Promise<CondemnReply> };
  readonly known: Pick<KnownIndex, 'standing'>;
  readonly log: Logger;
};

export class Condemned {
  readonly #options: CondemnedOptions;

  constructor(options: CondemnedOptions) {
    this.#options = options;
  }

  /** Rejects where the index does not answer, is another one than before, or was restored and is in doubt. */
  async ask(digests: readonly Digest[], signal: AbortSignal): Promise<UnneededAnswer> {
    const ctx = CallContext.begin({ signal });
    const reply = await this.#options.index.condemn(digests, ctx);
    const { condemned, waiting } = reply;
    if ((await this.#options.known.standing(reply)) === 'doubted') throw doubtedError();
    const told = { ...ctx.ids, asked: digests.length, condemned: condemned.length, waiting };
    this.#options.log[condemned.length > 0 ? 'info' : 'debug'](told, 'room is needed: the index was asked what may go');
    return { unneeded: condemned, waiting };
  }
}

/**
 * What this origin may remove to make room: asked of the index, which condemns what nothing links to.
 *
 * Rule: by the word of one index only. A database that was made anew, or one of another cluster, knows no links: who it
 *       is stands in `DIR/index` from the first answer on, and another one's answer removes nothing until a person agrees.
 */

import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '../core/contracts/errors.ts';
import type { CondemnReply } from '../core/contracts/index-api.ts';
import type { Digest } from '../core/digest.ts';
import { CallContext } from '../platform/clients/context.ts';
import type { UnneededAnswer } from '../platform/store/room/let-go.ts';
import type { Logger } from '../platform/telemetry/log.ts';

export type CondemnedOptions = {
  readonly index: { condemn(digests: readonly Digest[], ctx: CallContext): Promise<CondemnReply> };
  /** The origin's data directory. */
  readonly dir: string;
  readonly log: Logger;
};

export class Condemned {
  readonly #options: CondemnedOptions;
  readonly #file: string;
  #known: string | undefined;

  constructor(options: CondemnedOptions) {
    this.#options = options;
    this.#file = join(options.dir, 'index');
  }

  /** Rejects where the index does not answer, or is another one than before. */
  async ask(digests: readonly Digest[], signal: AbortSignal): Promise<UnneededAnswer> {
    const ctx = CallContext.begin({ signal });
    const reply = await this.#options.index.condemn(digests, ctx);
    const { condemned, waiting } = reply;
    await this.#same(reply.index);
    const told = { ...ctx.ids, asked: digests.length, condemned: condemned.length, waiting };
    this.#options.log[condemned.length > 0 ? 'info' : 'debug'](told, 'room is needed: the index was asked what may go');
    return { unneeded: condemned, waiting };
  }

  async #same(index: string): Promise<void> {
    this.#known ??= await readFile(this.#file, 'utf8').then((text) => text.trim(), absent);
    if (this.#known === undefined) {
      await writeSynced(this.#file, `${index}\n`);
      this.#known = index;
    }
    if (this.#known === index) return;
    const known = this.#known;
    // Whoever agrees removes the file: it is looked at again.
    this.#known = undefined;
    throw new ApiError(
      'UNAVAILABLE',
      `the index says that it is ${index}, but this origin has gone by ${known}: if that is right, remove ${this.#file}`,
    );
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}

async function writeSynced(file: string, text: string): Promise<void> {
  const handle = await open(`${file}.new`, 'w');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
}

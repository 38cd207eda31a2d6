/**
 * What the origins hold, asked by an index on behalf of who puts a tag by Kraken's paths: the bytes that a tag needs were
 * uploaded to an origin, and the index has not heard of them.
 *
 * Rule 1: held is what as many origins as a push needs hold whole, and keep from then on, or what the repository's backend
 *   has. An upload by Kraken's paths lies on one origin at first, and is being handed over: that is waited for.
 * Rule 2: "missing" is said only where every origin said no; else UNAVAILABLE.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../core/contracts/errors.ts';
import type { BlobIn } from '../../core/digest.ts';
import { manifestBytesMax } from '../../core/oci/limits.ts';
import { tooLarge } from '../../core/oci/manifest.ts';
import type { CallContext } from '../../platform/clients/context.ts';
import { prove } from '../../platform/clients/copies.ts';
import type { OriginFinder } from '../../platform/clients/finder.ts';
import { Origins } from '../../platform/clients/origins.ts';
import type { IndexOrigins } from '../origins.ts';

/** A hand-over to the next owner begins at once; a large blob takes longer, and its caller comes again. */
const handoverMs = 4_000;
const lookAgainMs = 250;

export class OriginsHeld {
  readonly #origins: Origins;
  readonly #finder: OriginFinder;

  /** `required`: so many origins, of as many as there are. */
  constructor({ members, finder }: IndexOrigins, required: number) {
    this.#origins = new Origins({ members, copies: required, required });
    this.#finder = finder;
  }

  /** Base URLs. */
  get urls(): readonly string[] {
    return this.#origins.clients.map(({ url }) => url);
  }

  /** Whether a push of it may be spared. */
  there(blob: BlobIn, call: CallContext): Promise<boolean> {
    return this.#origins.there(blob, call);
  }

  /** Whether as many origins as are needed hold it whole, and keep it. */
  proved(blob: BlobIn, call: CallContext): Promise<boolean> {
    return prove(this.#origins, blob, call);
  }

  /** False: it is missing. Throws UNAVAILABLE where too few have it yet, or it cannot be known. */
  async kept(blob: BlobIn, call: CallContext): Promise<boolean> {
    const origins = this.#origins;
    const untilMs = performance.now() + handoverMs;
    for (;;) {
      if (await prove(origins, blob, call)) return true;
      if ((await origins.proved(blob, call)) === undefined) return origins.there(blob, call);
      if (performance.now() > untilMs) break;
      await sleep(lookAgainMs, undefined, { signal: call.signal });
    }
    throw new ApiError(
      'UNAVAILABLE',
      `fewer than ${origins.required} origins (\`kraken.required\` of the index) hold ${blob.digest} yet: try again`,
    );
  }

  /** Its length, bytes; undefined: nobody has it. */
  async sizeOf(blob: BlobIn, call: CallContext): Promise<number | undefined> {
    const found = await this.#finder.locate(blob, call);
    if (found === undefined) return undefined;
    return 'meta' in found ? found.meta.length : found.growth.length;
  }

  /** A manifest's bytes, which origins have verified; undefined: nobody has them. Throws SIZE_INVALID. */
  async bytes(blob: BlobIn, call: CallContext): Promise<Uint8Array | undefined> {
    const size = await this.sizeOf(blob, call);
    if (size === undefined) return undefined;
    if (size > manifestBytesMax) throw tooLarge();
    const parts: Uint8Array[] = [];
    for await (const chunk of this.#origins.read(blob, { start: 0, end: size }, call)) {
      for (const bytes of chunk.bytes) parts.push(Buffer.from(bytes));
      chunk.release();
    }
    return Buffer.concat(parts);
  }
}

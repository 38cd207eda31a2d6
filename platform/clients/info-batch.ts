/**
 * Questions for the metainfo of blobs, put to one origin: those of one repository that come up in the same moment go as
 * one request.
 *
 * Why: a host that pulls many small blobs, or the layers of an image, has its tracker ask for all of them at once, and
 *   a request each cost the tracker and the origin more than all that they had to say.
 * Rule: a question that is given up is not waited for; the others of its batch are.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import {
  type BlobInfo,
  type GrowingInfo,
  type InfoOutcome,
  type InfosReply,
  infosMax,
} from '../../core/contracts/origin.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import type { CallContext } from './context.ts';

type Question<T> = {
  readonly blob: BlobIn;
  readonly ctx: CallContext;
  readonly answer: (info: T | undefined) => void;
  readonly refuse: (error: unknown) => void;
};

export type InfoCalls<T> = {
  /** Undefined: the origin does not hold it. */
  one(blob: BlobIn, ctx: CallContext): Promise<T | undefined>;
  /** All of one repository. */
  many(digests: readonly Digest[], repo: string | undefined, ctx: CallContext): Promise<InfosReply>;
  /** Throws ApiError where the answer is not one for that blob. */
  checked(info: BlobInfo | GrowingInfo, digest: Digest): T;
};

export class InfoBatch<T> {
  readonly #calls: InfoCalls<T>;
  #waiting: Question<T>[] = [];

  constructor(calls: InfoCalls<T>) {
    this.#calls = calls;
  }

  /** Undefined: the origin does not hold it. Rejects with ApiError, or with the signal's reason. */
  ask(blob: BlobIn, ctx: CallContext): Promise<T | undefined> {
    const { signal } = ctx;
    const asked = new Promise<T | undefined>((answer, refuse) => {
      if (signal.aborted) return refuse(signal.reason);
      const givenUp = (): void => refuse(signal.reason);
      signal.addEventListener('abort', givenUp, { once: true });
      const settled = <V>(then: (value: V) => void) => {
        return (value: V): void => {
          signal.removeEventListener('abort', givenUp);
          then(value);
        };
      };
      this.#waiting.push({ blob, ctx, answer: settled(answer), refuse: settled(refuse) });
      if (this.#waiting.length === 1) setImmediate(() => this.#flush());
    });
    return asked;
  }

  #flush(): void {
    const waiting = this.#waiting.filter(({ ctx }) => !ctx.signal.aborted);
    this.#waiting = [];
    for (const of of Map.groupBy(waiting, ({ blob }) => blob.repo).values()) {
      for (let at = 0; at < of.length; at += infosMax) void this.#send(of.slice(at, at + infosMax));
    }
  }

  async #send(questions: readonly Question<T>[]): Promise<void> {
    const [first, second] = questions as [Question<T>, ...Question<T>[]];
    try {
      if (second === undefined) return first.answer(await this.#calls.one(first.blob, first.ctx));
      // Whoever gives up does not end the others' request; silence does.
      const { infos } = await this.#calls.many(
        questions.map(({ blob }) => blob.digest),
        first.blob.repo,
        first.ctx.detached(),
      );
      for (const [i, question] of questions.entries()) this.#settle(question, infos[i] as InfoOutcome);
    } catch (error) {
      for (const { refuse } of questions) refuse(error);
    }
  }

  #settle({ blob, answer, refuse }: Question<T>, found: InfoOutcome): void {
    if (found === null) return answer(undefined);
    if ('error' in found) return refuse(new ApiError(found.error.code, found.error.message));
    try {
      answer(this.#calls.checked(found, blob.digest));
    } catch (wrong) {
      refuse(wrong);
    }
  }
}

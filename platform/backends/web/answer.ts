/**
 * An answer of a server of others: its head, and its body as it comes.
 *
 * Rule: whoever gets one reads its body to the end, or leaves it by `discard`.
 */

import type { Answered } from '../../http/outgoing.ts';
import type { BackendError } from '../backend.ts';
import { networkError, type Where, webError } from './call.ts';
import { answerWholeBytesMax, discardBytesMax, errorBytesMax } from './limits.ts';
import { retryAfterMs } from './retry-after.ts';
import { verdictOf, type WebVerdict } from './verdicts.ts';
import { isHtml, wordsOf } from './words.ts';

/** What an answer needs of the call that it belongs to. */
export type AnswerContext = Where & {
  readonly name: string;
  /** The next bytes are waited for, or no longer. */
  readonly waits: (waiting: boolean) => void;
  /** Why it was ended from here; undefined: it was not. */
  readonly reason: () => unknown;
  readonly over: () => void;
};

export class WebAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly #answered: Answered;
  readonly #context: AnswerContext;

  constructor(answered: Answered, held: AnswerContext) {
    this.status = answered.status;
    this.headers = answered.headers;
    this.#answered = answered;
    this.#context = held;
  }

  /** Where it came from, redirects followed. */
  get url(): URL {
    return this.#context.hop.url;
  }

  /** Once. Breaks off with a BackendError where the connection does. */
  async *body(): AsyncGenerator<Uint8Array> {
    const { name, waits, reason, over } = this.#context;
    let bytes = 0;
    try {
      waits(true);
      for await (const chunk of this.#answered.body) {
        waits(false);
        bytes += chunk.length;
        yield chunk;
        waits(true);
      }
    } catch (error) {
      throw reason() ?? networkError(name, this.#context, error, ` after ${bytes} bytes of its answer`);
    } finally {
      over();
    }
  }

  /** All of it; an error beyond `bytesMax`. */
  async text(bytesMax = answerWholeBytesMax): Promise<string> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of this.body()) {
      length += chunk.length;
      if (length > bytesMax) throw this.wrong('unavailable', `answers more than ${bytesMax} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, length).toString('utf8');
  }

  async json(bytesMax = answerWholeBytesMax): Promise<unknown> {
    const text = await this.text(bytesMax);
    try {
      return JSON.parse(text);
    } catch {
      const words = wordsOf(this.headers['content-type'], text) || 'nothing';
      throw this.wrong(
        'unavailable',
        `answers no JSON, but ${isHtml(this.headers['content-type'], text) ? '' : 'this: '}${words}`,
      );
    }
  }

  /** Gives the connection back, or closes it where much would come. */
  async discard(): Promise<void> {
    let bytes = 0;
    try {
      for await (const chunk of this.body()) {
        bytes += chunk.length;
        if (bytes > discardBytesMax) return;
      }
    } catch {
      // Nobody wants it.
    }
  }

  /** Of a status that is no answer to this call; `known`: what it means here. Reads what the server says. */
  async failure(known?: WebVerdict): Promise<BackendError> {
    const text = await this.#start();
    const { name, call } = this.#context;
    const afterMs = retryAfterMs(this.headers);
    const verdict =
      known ?? call.judge?.(this.status, text, this.headers) ?? verdictOf(this.status, afterMs !== undefined);
    const said = verdict.words ?? wordsOf(this.headers['content-type'], text);
    const words = `HTTP ${this.status}${said === '' ? '' : `, ${said}`}`;
    return webError(name, this.#context, verdict, { words, afterMs });
  }

  /** What the caller finds wrong with it. */
  wrong(
    why: BackendError['why'],
    words: string,
    remedy = 'what answers there may be something else: look at it',
  ): BackendError {
    return webError(this.#context.name, this.#context, { why, remedy }, { words });
  }

  /** As much of an error as is of use; nothing where it breaks off. */
  async #start(): Promise<string> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    try {
      for await (const chunk of this.body()) {
        chunks.push(chunk);
        length += chunk.length;
        if (length >= errorBytesMax) break;
      }
    } catch {
      // The status says enough.
    }
    if (this.#context.call.signal.aborted) throw this.#context.call.signal.reason;
    return Buffer.concat(chunks).subarray(0, errorBytesMax).toString('utf8');
  }
}

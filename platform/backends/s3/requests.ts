/**
 * One request to the bucket: what goes wrong leaves as a BackendError, and what other keys or another clock mend is tried
 * once more.
 *
 * Rule: a signal ends it, and what leaves then is the signal's reason.
 */

import type { S3Client } from '@aws-sdk/client-s3';
import { BackendError } from '../backend.ts';
import type { S3Connection } from './client.ts';
import { s3Code, s3Error } from './errors.ts';

/** What the SDK takes beside a command. */
export type SendOptions = { readonly abortSignal: AbortSignal };

export type S3Asked = { readonly doing: string; readonly key?: string | undefined; readonly signal: AbortSignal };

/** Our clock is corrected by the server's answer, once: the next request has the right time. */
const CLOCK = new Set(['RequestTimeTooSkewed', 'RequestExpired']);

export class S3Requests {
  readonly #name: string;
  readonly #connection: S3Connection;
  readonly bucket: string;

  constructor(name: string, bucket: string, connection: S3Connection) {
    this.#name = name;
    this.bucket = bucket;
    this.#connection = connection;
  }

  /** `send` may be called twice, and makes a new command each time. */
  async ask<T>(asked: S3Asked, send: (client: S3Client, options: SendOptions) => Promise<T>): Promise<T> {
    const { client, credentials } = this.#connection;
    const options = { abortSignal: asked.signal };
    asked.signal.throwIfAborted();
    const keys = await credentials.keys().catch((error: unknown) => this.fail(error, asked));
    try {
      return await send(client, options);
    } catch (error) {
      const failed = this.error(error, asked);
      const again =
        CLOCK.has(s3Code(error)) ||
        ((failed.why === 'credentials' || failed.why === 'denied') &&
          (await credentials.others(keys).catch(() => false)));
      if (!again) throw failed;
      return await send(client, options).catch((second: unknown) => this.fail(second, asked));
    }
  }

  fail(error: unknown, asked: S3Asked): never {
    throw this.error(error, asked);
  }

  error(error: unknown, { doing, key, signal }: S3Asked): BackendError {
    signal.throwIfAborted();
    return s3Error(error, { backend: this.#name, bucket: this.bucket, key, doing });
  }

  /** An answer of success that is none of S3's. `words`: what it is not. */
  noS3(doing: string, words: string): BackendError {
    const who = this.#connection.endpoint ?? 'what is reached as AWS';
    const remedy = 'what answers there may be no S3: look at `endpoint`, and at proxies between';
    return new BackendError(
      'unavailable',
      `${this.#name}: cannot ${doing} s3://${this.bucket}: ${who} ${words}: ${remedy}`,
    );
  }

  /** What we found wrong ourselves. */
  wrong(why: BackendError['why'], key: string, words: string): BackendError {
    return new BackendError(why, `${this.#name}: s3://${this.bucket}/${key} ${words}`);
  }
}

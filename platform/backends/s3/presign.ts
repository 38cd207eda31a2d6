/**
 * URLs by which a reader without credentials reads one object: signed for the host that the reader sees, which need not be
 * the one that we reach the bucket at.
 *
 * Rule 1: nobody is asked. Signing is arithmetic; the keys are those that requests are signed with.
 * Rule 2: no range is signed: a reader that asked us for one sends it along to wherever it is sent.
 */

import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { S3Connection } from './client.ts';
import type { S3Settings } from './config.ts';

export class S3Presigner implements Disposable {
  readonly #connection: S3Connection;
  readonly #bucket: string;
  readonly #ttlS: number;
  /** It connects to nobody. */
  readonly #signing: S3Client;

  constructor(
    { bucket, endpoint, pathStyle, redirect }: S3Settings & { redirect: NonNullable<S3Settings['redirect']> },
    connection: S3Connection,
  ) {
    this.#connection = connection;
    this.#bucket = bucket;
    this.#ttlS = Math.floor(redirect.ttl / 1000);
    const seen = redirect.endpoint ?? endpoint;
    const inherited = redirect.endpoint === undefined ? pathStyle : undefined;
    this.#signing = new S3Client({
      region: connection.client.config.region,
      ...(seen !== undefined && { endpoint: seen }),
      forcePathStyle: redirect.pathStyle ?? inherited ?? seen !== undefined,
      credentials: () => connection.credentials.keys(),
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
  }

  async url(key: string): Promise<string> {
    const asked = new GetObjectCommand({ Bucket: this.#bucket, Key: key });
    // As far as our clock is known to be off.
    const signingDate = new Date(Date.now() + this.#connection.client.config.systemClockOffset);
    return await getSignedUrl(this.#signing, asked, { expiresIn: this.#ttlS, signingDate });
  }

  [Symbol.dispose](): void {
    this.#signing.destroy();
  }
}

/**
 * The SDK's client, made for us: which endpoint, which connections, which keys. Loaded when a rule says s3.
 *
 * Rule 1: it does not try again by itself: who waits and how often is stated once, by whoever calls us. What only another
 *         attempt with another clock or other keys mends is tried once more, at once (requests.ts).
 * Rule 2: bodies are not signed: SHA-256 of each byte would cost more than sending it. What the server checks them by are
 *         checksums, which are signed (checksums.ts), and who reads compares the digest.
 */

import { readFileSync } from 'node:fs';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { agents } from '../../http/agents.ts';
import { trustedWith } from '../../net/trust.ts';
import type { Opening } from '../kind.ts';
import { boundAnswers } from './answers.ts';
import type { S3Settings } from './config.ts';
import { type Keys, S3Credentials } from './credentials.ts';
import { connectMsMax, socketsMax } from './limits.ts';

export type S3Connection = {
  readonly client: S3Client;
  readonly credentials: S3Credentials;
  /** As the rule has it; undefined: that of AWS. */
  readonly endpoint: string | undefined;
};

export function connectS3(said: S3Settings, { env, stallMs, clock }: Omit<Opening, 'metrics' | 'log'>): S3Connection {
  const { http, https } = agents({
    env,
    sockets: socketsMax,
    ca: said.ca === undefined ? undefined : trusted(said.ca),
  });
  const requestHandler = {
    httpAgent: http,
    httpsAgent: https,
    connectionTimeout: connectMsMax,
    socketTimeout: stallMs,
  };
  const region = said.region ?? (said.endpoint === undefined ? undefined : 'us-east-1');
  const profile =
    said.credentials !== undefined && 'profile' in said.credentials ? said.credentials.profile : undefined;
  const credentials = new S3Credentials(
    said.credentials,
    { clientConfig: { requestHandler, ...(region !== undefined && { region }) } },
    () => clock.nowMs(),
  );
  const client = new S3Client({
    ...(region !== undefined && { region }),
    ...(said.endpoint !== undefined && { endpoint: said.endpoint }),
    ...(profile !== undefined && { profile }),
    forcePathStyle: said.pathStyle ?? said.endpoint !== undefined,
    followRegionRedirects: true,
    requestHandler,
    // S3Asked for each request, and not remembered there: what is remembered can be forgotten here.
    credentials: Object.assign((): Promise<Keys> => credentials.keys(), { memoized: true }),
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
  } satisfies S3ClientConfig);
  unsigned(client);
  boundAnswers(client);
  return { client, credentials, endpoint: said.endpoint };
}

/** Of a file that is there at the start: what signs a server's certificate changes rarely, and with a restart. */
function trusted(file: string): string[] {
  return trustedWith(readFileSync(file, 'utf8'));
}

function unsigned(client: S3Client): void {
  client.middlewareStack.add(
    (next) => (args) => {
      const { request } = args as { request?: { body?: unknown; headers?: Record<string, string> } };
      if (request?.headers !== undefined && request.body instanceof Uint8Array)
        request.headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return next(args);
    },
    { step: 'build', name: 'shoalUnsignedPayload', priority: 'low' },
  );
}

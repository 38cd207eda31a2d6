/**
 * How much of an answer is held: the SDK takes an answer of XML whole before it reads it, however long it is.
 *
 * Rule: an object's bytes are not held, and pass.
 */

import { pipeline, Readable, Transform } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { answerBytesMax } from './limits.ts';

export function boundAnswers(client: S3Client): void {
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        const result = await next(args);
        const { response } = result as { response?: { statusCode?: number; body?: unknown } };
        const passes = commandName === 'GetObjectCommand' && (response?.statusCode ?? 0) < 300;
        if (!passes && response?.body instanceof Readable) response.body = bounded(response.body);
        return result;
      },
    { step: 'deserialize', name: 'shoalBoundAnswers', priority: 'low' },
  );
}

function bounded(body: Readable): Readable {
  let bytes = 0;
  const through = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      bytes += chunk.length;
      if (bytes <= answerBytesMax) done(null, chunk);
      else done(new Error(`the answer has more than ${answerBytesMax} bytes`));
    },
  });
  // Whoever reads hears of it.
  return pipeline(body, through, () => undefined);
}

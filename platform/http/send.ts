/**
 * Answers a request outside of the registry API with a blob, as the registry does: Range, If-Range,
 * ETag, HEAD, bytes straight out of shared memory.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Content, Headers } from './content.ts';
import { CLIENT_LIMITS, writeContent } from './exchange.ts';
import { SlowReaders, slowReadersMax } from './slow.ts';

/** Of all that is sent from here, in this process: connections are the process's. */
const slow = new SlowReaders({ pauseMs: CLIENT_LIMITS.pauseMs, readersMax: slowReadersMax });

/** Sends `content`. Throws what fails before the first byte; what fails later cuts the connection. */
export async function sendContent(
  request: FastifyRequest,
  reply: FastifyReply,
  content: Content,
): Promise<FastifyReply> {
  const exchange = {
    request: request.raw,
    response: reply.raw,
    headers: reply.getHeaders() as Headers,
    lingerMs: CLIENT_LIMITS.lingerMs,
    slow,
    client: request.ip,
  };
  const result = await writeContent(content, exchange);
  if (result.kind === 'cut') request.log.warn({ digest: content.digest, err: result.why }, 'answer cut short');
  reply.hijack();
  return reply;
}

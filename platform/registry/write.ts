/** Writes a registry handler's reply, with the headers of OCI distribution 1.1. */

import { allowedMethods } from '../../core/oci/request.ts';
import { type Exchange, finish, refuse, SENT, writeContent } from '../http/exchange.ts';
import type { PumpResult } from '../http/pump.ts';
import type { OciReply } from './reply.ts';

/** Throws the ApiError of a source that fails before its first byte: nothing is written then. */
export async function writeReply(reply: OciReply, exchange: Exchange): Promise<PumpResult> {
  switch (reply.kind) {
    case 'empty':
      await finish(exchange, { status: reply.status, headers: { 'content-length': '0', ...reply.headers } });
      return SENT;
    case 'json': {
      const headers = { 'content-type': 'application/json; charset=utf-8', ...reply.headers };
      await finish(exchange, { status: 200, headers, body: Buffer.from(JSON.stringify(reply.value)) });
      return SENT;
    }
    case 'error': {
      const allow = allowedMethods(reply.error);
      await refuse(exchange, reply.error, {
        ...(allow === undefined ? {} : { allow: allow.join(', ') }),
        ...reply.headers,
      });
      return SENT;
    }
    case 'content':
      return writeContent(reply.content, exchange);
  }
}

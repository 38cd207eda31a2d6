/**
 * What operators ask an index to change, in its audit log: every route that is an administrator's alone. Loaded only where
 * `audit` is set. Documents write their own entries (index/documents/audited.ts).
 *
 * Rule: the entry is on the disk before the answer is sent; where it cannot be, the answer says so.
 */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { mayCall } from '../../core/access/table.ts';
import { DOCUMENTS } from '../../core/contracts/documents/documents.ts';
import { ApiError, errorIn } from '../../core/contracts/errors.ts';
import { whoCalls } from '../../platform/audit/entry.ts';
import type { AuditLog } from '../../platform/audit/log.ts';
import { callOf } from '../../platform/http/call.ts';
import { errorBody } from '../../platform/http/server.ts';

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD']);
const [succeeded, denied] = [300, 403];

/** Before the routes are added. */
export function auditOperators(app: FastifyInstance, audit: Pick<AuditLog, 'ready' | 'write'>): void {
  app.addHook('preHandler', async (request) => {
    if (isOperated(request)) await audit.ready();
  });
  app.addHook('onSend', async (request, reply, payload) => {
    const { statusCode } = reply;
    if (!isOperated(request) || (statusCode >= succeeded && statusCode !== denied)) return payload;
    const { method, url, body, ip } = request;
    const detail = { asked: `${method} ${url}`, ...(body === undefined || body === null ? {} : { body }) };
    const result = statusCode < succeeded ? 'done' : codeIn(payload);
    try {
      await audit.write({ what: 'operate', result, who: whoCalls(callOf(request), undefined, ip), detail });
      return payload;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      reply.code(error.status).type('application/json; charset=utf-8').header('retry-after', '1');
      return JSON.stringify(errorBody(error));
    }
  });
}

/** A question that says that it only asks changes nothing. */
function isOperated({ method, routeOptions, body }: FastifyRequest): boolean {
  if (READS.has(method) || routeOptions.url === undefined) return false;
  if ((body as { apply?: unknown } | null | undefined)?.apply === false) return false;
  const may = mayCall('index', method, routeOptions.url);
  return (
    may !== undefined &&
    may !== 'anyone' &&
    may.every((role) => role === 'admin') &&
    !routeOptions.url.startsWith(documentsAt)
  );
}

const documentsAt = DOCUMENTS.blocks.put.pattern.slice(0, -'blocks'.length);

function codeIn(payload: unknown): string {
  try {
    return errorIn(JSON.parse(String(payload)))?.code ?? 'DENIED';
  } catch {
    return 'DENIED';
  }
}

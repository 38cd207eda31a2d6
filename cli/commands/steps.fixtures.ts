/** An index that answers the steps of a reconcile or an import, for tests of the commands. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { ERRORS } from '../../core/contracts/errors.ts';
import { INDEX } from '../../core/contracts/index-api.ts';
import type { ReconcileReply, ReconcileStep } from '../../core/contracts/reconcile.ts';

/** An index that answers so, in turn; null: 503. What it was asked. */
export async function answering(
  stack: AsyncDisposableStack,
  answers: readonly (ReconcileReply | null)[],
): Promise<{ url: string; asked: ReconcileStep[] }> {
  const asked: ReconcileStep[] = [];
  const server = createServer(async (request, response) => {
    if (!INDEX.reconcile.matches(request.method as string, request.url as string)) return response.end('{}');
    asked.push(INDEX.reconcile.body(await json(request)));
    const answer = answers[Math.min(asked.length, answers.length) - 1];
    const { status } = answer ? { status: 200 } : ERRORS.UNAVAILABLE;
    const error = { errors: [{ code: 'UNAVAILABLE', message: 'backend main cannot be read: it hangs' }] };
    return response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer ?? error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

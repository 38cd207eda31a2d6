/** What comes with a question to a tracker goes with its own questions to the origins. */

import { randomBytes } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { byDigest } from '../core/digest.ts';
import { testDigest, testMeta, testPeer } from '../core/handout/fixtures.ts';
import { handoutLimits } from '../core/handout/limits.ts';
import { prng } from '../core/prng.ts';
import { CallContext } from '../platform/clients/context.ts';
import { originMembers } from '../platform/clients/origin.ts';
import { TrackerSession } from '../platform/clients/tracker.ts';
import { trustedOf } from '../platform/http/call.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { httpMembers } from '../platform/members/http.ts';
import { fixedList } from '../platform/members/list.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { LookupAllowance, lookupsAtOnce } from './allowance.ts';
import { trackerRoutes } from './api.ts';
import { Lookups } from './lookups.ts';
import { TrackerState } from './state.ts';

test('request id, caller and trace arrive at the origin; the deadline of one who asks is not that of all', async () => {
  await using stack = new AsyncDisposableStack();
  const heard: IncomingHttpHeaders[] = [];
  const digest = testDigest(1);
  const origin = createServer((request, response) => {
    heard.push(request.headers);
    response.end(JSON.stringify({ digest, meta: testMeta(5), peer: testPeer(9, 'origin') }));
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  stack.defer(() => void origin.close().closeAllConnections());
  const url = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;
  const metrics = new Metrics();
  const lookups = new Lookups({
    allowance: new LookupAllowance(lookupsAtOnce),
    origins: stack.use(originMembers(fixedList([url]))),
    memoryBytes: 1e6,
    clock: { nowMs: () => 0 },
    onLookup: () => undefined,
  });
  const state = stack.use(
    new TrackerState({ prng: prng(1), leaseMs: 30_000, intervalMs: 10_000, limits: handoutLimits }),
  );
  const app = createHttp({ role: 'tracker', log: silentLog(), metrics, readiness: async () => [] });
  trackerRoutes(app, { state, lookups, origins: undefined, waitMs: 1_000, metrics, trusted: trustedOf([]) });
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }));
  const trackers = stack.use(httpMembers(fixedList([`http://127.0.0.1:${port}`])));
  const session = new TrackerSession({ trackers, log: silentLog() });
  stack.defer(() => session.leave());
  const traceId = randomBytes(16).toString('hex');
  const headers = {
    'x-request-id': 'asked',
    'x-shoal-client': 'me',
    traceparent: `00-${traceId}-${'cd'.repeat(8)}-01`,
  };
  const ctx = CallContext.received(headers, { signal: new AbortController().signal, believed: true });
  using soon = ctx.within(1_000);
  expect(await session.locate(byDigest(digest), soon)).toMatchObject({ digest });
  expect(heard).toEqual([
    expect.objectContaining({
      'x-request-id': 'asked',
      'x-shoal-client': 'me',
      traceparent: expect.stringMatching(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`)),
    }),
  ]);
  // Longer than the second that this one had: others may wait for the same answer.
  expect(Number(heard[0]?.['x-shoal-deadline'])).toBeGreaterThan(1_000);
});

/** What comes with a client's request goes with every call that the proxy makes for it. */

import { afterEach, expect, test } from 'vitest';
import { REPLICATION_HEADERS } from '../core/contracts/replicate/headers.ts';
import { CallContext } from '../platform/clients/context.ts';
import { type Answer, digestOfBytes, TestCluster } from './testing/cluster.ts';

let cluster: TestCluster;
afterEach(() => cluster.close());

const traceId = 'ab'.repeat(16);
const edge = {
  'x-request-id': 'from-outside',
  'x-forwarded-for': '203.0.113.9',
  'x-shoal-client': 'somebody-else',
  'x-shoal-deadline': '60000',
  traceparent: `00-${traceId}-${'cd'.repeat(8)}-01`,
};

/** Notes the context of each call of the index. */
function listenIn(index: TestCluster['index']): [method: string, ctx: CallContext][] {
  const heard: [string, CallContext][] = [];
  for (const [name, method] of Object.entries(index)) {
    if (typeof method !== 'function') continue;
    const act = method as (...args: unknown[]) => unknown;
    Object.assign(index, {
      [name]: (...args: unknown[]) => {
        heard.push([name, args.find((arg) => arg instanceof CallContext) as CallContext]);
        return act(...args);
      },
    });
  }
  return heard;
}

test('request id, client, deadline and trace reach index and origins, whatever is asked', async () => {
  const quotas = [{ repositories: ['**'], each: 'repository', bytes: 1e12 }] as const;
  cluster = await TestCluster.start({ trustedProxies: ['127.0.0.1'], required: 2, quotas });
  const heard = listenIn(cluster.index);
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const ask = async (method: string, path: string, status: number, body?: Buffer): Promise<Answer> => {
    // Another cluster asks who we are in this way; of all but GET /v2/ nothing comes of it.
    const headers = { ...edge, 'content-type': type, [REPLICATION_HEADERS.taken]: 'ask' };
    const answer = await cluster.proxy.send(method, path, body === undefined ? { headers } : { headers, body });
    expect([method, path, answer.status]).toEqual([method, path, status]);
    expect(answer.headers['x-request-id']).toBe('from-outside');
    return answer;
  };
  const bytes = Buffer.alloc(5000, 'x');
  const blob = digestOfBytes(bytes);
  const uploads = '/v2/a/blobs/uploads/';
  const begun = String((await ask('POST', uploads, 202)).headers.location);
  await ask('DELETE', begun, 204);
  const again = String((await ask('POST', uploads, 202)).headers.location);
  await ask('GET', again, 204);
  const sent = String((await ask('PATCH', again, 202, bytes)).headers.location);
  await ask('PUT', `${sent}?digest=${blob}`, 201);
  await ask('POST', `/v2/b/blobs/uploads/?mount=${blob}&from=a`, 201);
  await ask('GET', `/v2/a/blobs/${blob}`, 200);
  await ask('HEAD', `/v2/a/blobs/${blob}`, 200);
  const descriptor = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: blob, size: bytes.length };
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: type, config: descriptor, layers: [descriptor] }),
  );
  await ask('PUT', '/v2/a/manifests/1', 201, manifest);
  const digest = digestOfBytes(manifest);
  for (const reference of ['1', digest]) {
    await ask('GET', `/v2/a/manifests/${reference}`, 200);
    await ask('HEAD', `/v2/a/manifests/${reference}`, 200);
  }
  await ask('GET', '/v2/a/tags/list', 200);
  await ask('GET', '/v2/_catalog', 200);
  await ask('GET', '/v2/', 200);
  await ask('GET', `/v2/a/referrers/${digest}`, 200);
  for (const reference of ['1', digest]) await ask('DELETE', `/v2/a/manifests/${reference}`, 202);
  await ask('DELETE', `/v2/a/blobs/${blob}`, 202);

  // What the proxy asks of the index, all of it: whatever is added has to be asked for here.
  const methods = Object.entries(cluster.index).filter(
    ([name, act]) => typeof act === 'function' && name !== 'condemn',
  );
  expect([...new Set(heard.map(([name]) => name))].toSorted()).toEqual(methods.map(([name]) => name).toSorted());
  for (const [name, ctx] of heard) {
    const { requestId, traceId: trace } = ctx.ids;
    expect([name, requestId, trace, ctx.caller?.name]).toEqual([name, 'from-outside', traceId, '203.0.113.9']);
    expect(ctx.leftMs).toBeLessThanOrEqual(60_000);
  }
  for (const origin of cluster.origins) {
    expect(origin.heard.length).toBeGreaterThan(10);
    for (const headers of origin.heard) {
      expect(headers).toMatchObject({
        'x-request-id': 'from-outside',
        'x-shoal-client': '203.0.113.9',
        'x-shoal-deadline': expect.stringMatching(/^\d+$/),
        traceparent: expect.stringMatching(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`)),
      });
    }
  }
});

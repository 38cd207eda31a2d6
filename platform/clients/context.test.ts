/** The context of a call, and that every method of every client sends it. */

import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { CALL_HEADERS } from '../../core/contracts/call.ts';
import { byDigest } from '../../core/digest.ts';
import { testDigest, testMeta, testPeer } from '../../core/handout/fixtures.ts';
import { Redirect } from '../http/content.ts';
import { httpMembers } from '../members/http.ts';
import { fixedList } from '../members/list.ts';
import { silentLog } from '../telemetry/log.ts';
import { CallContext } from './context.ts';
import { prove } from './copies.ts';
import { DocumentClient } from './documents.ts';
import { OriginFinder } from './finder.ts';
import { IndexClient } from './index-client.ts';
import { OriginClient, originMembers } from './origin.ts';
import { Origins } from './origins.ts';
import { TrackerSession } from './tracker.ts';

const traceId = 'ab'.repeat(16);
const parentId = 'cd'.repeat(8);
const digest = testDigest(1);
const page = { n: 10 };

const never = new AbortController().signal;
const received = (headers: Record<string, string>): CallContext =>
  CallContext.received(headers, { signal: never, believed: true });

/** As it comes in at the edge. */
const given = (): CallContext =>
  received({
    'x-request-id': 'given',
    'x-shoal-client': '203.0.113.9',
    'x-shoal-deadline': '60000',
    traceparent: `00-${traceId}-${parentId}-01`,
    tracestate: 'vendor=1',
  });

describe('a context', () => {
  test('is read off a request, and what is missing or wrong is made', () => {
    const { requestId, traceId: trace, parentId: parent, spanId } = given().ids;
    expect([requestId, trace, parent]).toEqual(['given', traceId, parentId]);
    expect(spanId).toMatch(/^[0-9a-f]{16}$/);
    expect(given().leftMs).toBeGreaterThan(59_000);
    const wrong = received({ 'x-request-id': 'has space', 'x-shoal-deadline': 'soon', 'x-shoal-client': 'no name' });
    expect([wrong.requestId, wrong.caller, wrong.leftMs]).toEqual([
      expect.stringMatching(/^[0-9a-f-]{36}$/),
      undefined,
      Number.POSITIVE_INFINITY,
    ]);
    for (const traceparent of [
      `00-${'0'.repeat(32)}-${parentId}-01`,
      `00-${traceId}-${'0'.repeat(16)}-01`,
      `ff-${traceId}-${parentId}-01`,
      `00-${traceId}-${parentId}-01-more`,
      `00-${traceId.toUpperCase()}-${parentId}-01`,
    ])
      expect(received({ traceparent }).ids).toEqual({
        requestId: expect.any(String),
        traceId: expect.not.stringMatching(traceId),
        spanId: expect.any(String),
      });
    expect(received({ traceparent: `01-${traceId}-${parentId}-01-more` }).ids.traceId).toBe(traceId);
  });

  test('does not believe anybody who says for whom he calls', () => {
    const headers = { 'x-shoal-client': 'somebody' };
    expect(CallContext.received(headers, { signal: never, believed: false }).caller).toBeUndefined();
    const by = CallContext.received(headers, { signal: never, believed: false }).by({ kind: 'unverified', name: 'me' });
    expect(by.sent()['x-shoal-client']).toBe('me');
  });

  test('within a time ends then, or earlier where the deadline is', async () => {
    using soon = given().within(20);
    using sooner = received({ 'x-shoal-deadline': '20' }).within(60_000);
    await sleep(60);
    for (const { signal } of [soon, sooner]) {
      expect(signal.aborted).toBe(true);
      expect(signal.reason).toMatchObject({ code: 'UNAVAILABLE' });
    }
    expect(soon.sent()[CALL_HEADERS.deadline]).toBe('0');
    const done = given().within(20);
    done[Symbol.dispose]();
    await sleep(60);
    expect(done.signal.aborted).toBe(false);
  });

  test('detached keeps who asks and the trace, and is ended by neither the caller nor the deadline', () => {
    const leaving = new AbortController();
    const own = given().withSignal(leaving.signal);
    const detached = own.detached();
    leaving.abort(new Error('gone'));
    expect([own.signal.aborted, detached.signal.aborted]).toEqual([true, false]);
    const headers = detached.sent();
    expect(headers).toMatchObject({ 'x-request-id': 'given', 'x-shoal-client': '203.0.113.9', tracestate: 'vendor=1' });
    expect(headers[CALL_HEADERS.deadline]).toBeUndefined();
    expect(headers['traceparent']).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
  });
});

const servers: (() => void)[] = [];
afterEach(() => {
  for (const close of servers.splice(0)) close();
});

/** Answers whatever is asked in a way that every caller takes, and notes the headers. */
async function recorder(): Promise<{ url: string; heard: { path: string; headers: IncomingHttpHeaders }[] }> {
  const heard: { path: string; headers: IncomingHttpHeaders }[] = [];
  const info = { digest, meta: testMeta(4), peer: testPeer(9, 'origin') };
  const lists = {
    tags: [],
    repositories: [],
    manifests: [],
    more: false,
    condemned: [],
    unlinked: [],
    useless: [],
    waiting: 0,
    replicas: [0],
    default: 0,
    rules: [],
    quotas: [],
  };
  const version = `1-${'0'.repeat(32)}`;
  const gc = { graceMs: 1, everyMs: 1, rate: 1 };
  const record = { mediaType: 'text/plain', size: 4, index: '0'.repeat(32), state: 'held', status: 'ok', version };
  const everything = { ...info, ...lists, ...record, ...gc, id: 'u'.repeat(16), offset: 0, role: 'origin' };
  const server = createServer(async (request, response: ServerResponse) => {
    const path = request.url ?? '';
    if (path !== '/health' || request.headers['x-request-id'] !== undefined)
      heard.push({ path, headers: request.headers });
    let text = '';
    for await (const chunk of request) text += chunk;
    if (path === `/v1/blobs/${digest}` && request.headers.range !== undefined) response.writeHead(206).end('four');
    else if (path.startsWith('/v1/infos')) {
      const asked = (JSON.parse(text) as { digests: string[] }).digests;
      response.end(JSON.stringify({ infos: asked.map((one) => ({ ...info, digest: one })) }));
    } else if (path.startsWith('/v1/documents/')) response.end(JSON.stringify({ version: 2, body: {} }));
    else if (path.startsWith('/v1/identity'))
      response.end(JSON.stringify({ id: '1'.repeat(32), instance: '2'.repeat(32), weight: 1 }));
    else if (path.endsWith('/write-back')) response.end(JSON.stringify({ state: 'queued' }));
    else response.end(JSON.stringify(everything));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heard };
}

async function* bytes(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('four');
}

async function drain(chunks: AsyncIterable<unknown> | undefined): Promise<void> {
  for await (const _ of chunks ?? []);
}

type Calls = Record<string, (ctx: CallContext) => Promise<unknown>>;
/** A client: what calls each of its methods, and which of them are given no context, since they are nobody's. */
type Row = { readonly of: { readonly prototype: object }; readonly calls: Calls; readonly own?: readonly string[] };

function rows(url: string, end: AsyncDisposableStack): Row[] {
  const list = fixedList([url]);
  const index = new IndexClient(end.use(httpMembers(list)));
  const documents = new DocumentClient(end.use(httpMembers(list)));
  const members = end.use(originMembers(list));
  const origin = members.of(url) as OriginClient;
  const origins = new Origins({ members, copies: 1, required: 1 });
  const finder = new OriginFinder({ clock: { nowMs: () => 0 }, origins: members });
  const session = new TrackerSession({ trackers: end.use(httpMembers(list)), log: silentLog() });
  end.defer(() => session.leave());
  return [
    {
      of: IndexClient,
      calls: {
        tag: (ctx) => index.tag('a', '1', ctx),
        putTag: (ctx) => index.putTag('a', '1', { digest }, ctx),
        deleteTag: (ctx) => index.deleteTag('a', '1', ctx),
        tags: (ctx) => index.tags('a', page, ctx),
        manifest: (ctx) => index.manifest('a', digest, ctx),
        putManifest: (ctx) =>
          index.putManifest('a', digest, { mediaType: 'x', size: 1, tags: [], blobs: [], manifests: [] }, ctx),
        deleteManifest: (ctx) => index.deleteManifest('a', digest, ctx),
        referrers: (ctx) => index.referrers('a', digest, page, ctx),
        blob: (ctx) => index.blob('a', digest, ctx),
        linkBlob: (ctx) => index.linkBlob('a', digest, { size: 1 }, ctx),
        quotas: (ctx) => index.quotas(ctx),
        room: (ctx) => index.room({ repo: 'a', digest, size: 1 }, ctx),
        unlinkBlob: (ctx) => index.unlinkBlob('a', digest, ctx),
        mount: (ctx) => index.mount('a', digest, 'b', ctx),
        holders: (ctx) => index.holders(digest, page, ctx),
        catalog: (ctx) => index.catalog(page, ctx),
        condemn: (ctx) => index.condemn([digest], ctx),
        unlinked: (ctx) => index.unlinked([digest], ctx),
        gcRules: (ctx) => index.gcRules(ctx),
        gcCondemn: (ctx) => index.gcCondemn([digest], ctx),
        useless: (ctx) => index.useless([digest], ctx),
        identity: (ctx) => index.identity(ctx),
        replicas: (ctx) => index.replicas([digest], ctx),
        replicaRules: (ctx) => index.replicaRules(ctx),
      },
    },
    {
      of: DocumentClient,
      calls: {
        read: (ctx) => documents.read('blocks', ctx),
        after: (ctx) => documents.after('blocks', 1, ctx),
        put: (ctx) => documents.put('blocks', {}, 1, ctx),
        change: (ctx) => documents.change('blocks', () => ({}), ctx),
      },
    },
    {
      of: OriginClient,
      calls: {
        begin: (ctx) => origin.begin('u'.repeat(16), 'sha256', ctx),
        offset: (ctx) => origin.offset('u'.repeat(16), ctx),
        append: (ctx) => origin.append('u'.repeat(16), 0, { body: bytes(), ctx }),
        commit: (ctx) => origin.commit('u'.repeat(16), byDigest(digest), ctx),
        cancel: (ctx) => origin.cancel('u'.repeat(16), ctx),
        abandon: (ctx) => origin.abandon('u'.repeat(16), ctx),
        info: (ctx) => origin.info(byDigest(digest), ctx),
        located: (ctx) => origin.located(byDigest(digest), ctx),
        sampled: (ctx) => origin.sampled(byDigest(digest), ctx),
        passedOn: (ctx) => origin.passedOn(byDigest(digest), { hops: 1 }, ctx),
        stored: (ctx) => origin.stored(byDigest(digest), ctx),
        prove: (ctx) => origin.prove(byDigest(digest), ctx),
        read: async (ctx) => {
          const read = await origin.read(byDigest(digest), { start: 0, end: 4 }, ctx);
          await drain(read instanceof Redirect ? undefined : read);
        },
        remove: (ctx) => origin.remove(digest, ctx),
        writeBack: (ctx) => origin.writeBack(byDigest(digest), ctx),
        prefetch: (ctx) => origin.prefetch({ digest, repo: 'a' }, ctx),
        fetch: (ctx) => origin.fetch(digest, { from: testPeer(1), meta: testMeta(4) }, ctx),
        takeOver: (ctx) => origin.takeOver(digest, { from: testPeer(1), meta: testMeta(4) }, ctx),
        identity: (ctx) => origin.identity(true, ctx),
        ping: (ctx) => origin.ping(ctx),
      },
      own: ['pulse', 'underWay'],
    },
    {
      of: Origins,
      calls: {
        proved: (ctx) => origins.proved(byDigest(digest), ctx),
        there: (ctx) => origins.there(byDigest(digest), ctx),
        read: (ctx) => drain(origins.read(byDigest(digest), { start: 0, end: 4 }, ctx)),
        store: (ctx) => origins.store(byDigest(digest), Buffer.from('four'), ctx),
        onCopies: (ctx) => origins.onCopies(digest, (client, call) => client.remove(digest, call), ctx),
      },
      own: ['clients', 'atMost', 'idOf', 'copies', 'required', 'order', 'problems'],
    },
    {
      of: OriginFinder,
      calls: { locate: (ctx) => finder.locate(byDigest(digest), ctx) },
      own: ['urls', 'find'],
    },
    {
      of: TrackerSession,
      calls: { locate: (ctx) => session.locate(byDigest(digest), ctx) },
      own: ['stats', 'join', 'set', 'unset', 'seek', 'grows', 'leave'],
    },
    {
      of: { prototype: { constructor: prove, prove } },
      calls: { prove: (ctx) => prove(origins, byDigest(digest), ctx) },
    },
  ];
}

/** Questions that others wait for as well: nobody's deadline ends them, and each who waits leaves by its own. */
const shared: ReadonlySet<string> = new Set(['IndexClient.tag', 'IndexClient.manifest']);

test('every method of every client sends all of it, each call as a span of its own', async () => {
  const { url, heard } = await recorder();
  await using end = new AsyncDisposableStack();
  const spans = new Set<string>();
  for (const { of, calls, own = [] } of rows(url, end)) {
    const methods = Object.getOwnPropertyNames(of.prototype).filter((name) => name !== 'constructor');
    expect([...Object.keys(calls), ...own].toSorted()).toEqual(methods.toSorted());
    for (const [method, call] of Object.entries(calls)) {
      heard.length = 0;
      await call(given());
      const where = `${String((of as { name?: string }).name)}.${method}`;
      expect(heard, where).not.toEqual([]);
      for (const { path, headers } of heard) {
        expect(headers, `${where} ${path}`).toMatchObject({
          'x-request-id': 'given',
          'x-shoal-client': '203.0.113.9',
          tracestate: 'vendor=1',
          ...(shared.has(where) ? {} : { 'x-shoal-deadline': expect.stringMatching(/^[1-9]\d{0,4}$/) }),
          traceparent: expect.stringMatching(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`)),
        });
        const span = String(headers['traceparent']);
        expect(spans.has(span) || span.includes(parentId), `${where}: a span of its own`).toBe(false);
        spans.add(span);
      }
    }
  }
});

import type { RequestListener } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import type { TagVersion } from '../../core/contracts/index-api.ts';
import { testDigest } from '../../core/handout/fixtures.ts';
import { latencySamplesMin } from '../../core/retry/latency.ts';
import { httpMembers } from '../members/http.ts';
import { fixedList } from '../members/list.ts';
import { CallContext } from './context.ts';
import { IndexClient } from './index-client.ts';
import { Stoppable } from './stoppable.fixtures.ts';

const ctx = CallContext.begin({ requestId: 'test' });
const digest = testDigest(1);
let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function index(listener: RequestListener = answering): Promise<Stoppable> {
  return stack.use(await Stoppable.start(listener));
}

function clientOf(...indexes: readonly Stoppable[]): IndexClient {
  return new IndexClient(stack.use(httpMembers(fixedList(indexes.map(({ url }) => url)))));
}

const answering: RequestListener = (request, response) => {
  response.setHeader('content-type', 'application/json');
  if (request.method === 'GET') response.end(JSON.stringify({ digest, mediaType: 'm', size: 1 }));
  else response.writeHead(204).end();
};

async function timed(act: () => Promise<unknown>): Promise<{ ms: number; error: unknown }> {
  const begun = performance.now();
  const error = await act().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return { ms: performance.now() - begun, error };
}

test('an index that hangs costs a tag read two seconds, those after it a half, and nothing once it goes on', async () => {
  const only = await index();
  const client = clientOf(only);
  only.stop();
  const first = await timed(() => client.tag('a', '1', ctx));
  expect(first.error).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining(only.url) });
  expect(first.ms).toBeGreaterThan(1_500);
  expect(first.ms).toBeLessThan(5_000);
  for (const act of [() => client.tag('a', '1', ctx), () => client.linkBlob('a', digest, { size: 1 }, ctx)]) {
    const next = await timed(act);
    expect(next.error).toMatchObject({ code: 'UNAVAILABLE' });
    expect(next.ms).toBeLessThan(1_900);
  }
  only.goOn();
  expect(await client.tag('a', '1', ctx)).toMatchObject({ digest });
});

test('one whose caller gives up before that is found out as well', async () => {
  const only = await index();
  const client = clientOf(only);
  only.stop();
  const signal = AbortSignal.timeout(1_000);
  await expect(client.tag('a', '1', ctx.withSignal(signal))).rejects.toMatchObject({ name: 'TimeoutError' });
  await expect
    .poll(async () => (await timed(() => client.tag('a', '1', ctx))).ms, { timeout: 8_000 })
    .toBeLessThan(1_900);
});

test('with another index a read is answered by that, as soon as answers are late; writes go to that from then on', async () => {
  const [one, two] = [await index(), await index()];
  const client = clientOf(one, two);
  for (let i = 0; i < latencySamplesMin; i++) await client.tag('a', '1', ctx);
  expect(two.requests).toBe(0);
  one.stop();
  const read = await timed(() => client.tag('a', '1', ctx));
  expect(read.error).toBeUndefined();
  expect(read.ms).toBeLessThan(1_900);
  const asked = one.requests;
  for (let i = 0; i < 5; i++) await client.linkBlob('a', digest, { size: 1 }, ctx);
  expect([one.requests, two.requests]).toEqual([asked, 6]);
});

test('a write to an index that hangs goes to the other one in time, and is never put to both at once', async () => {
  const order: string[] = [];
  const noting =
    (name: string): RequestListener =>
    (request, response) => {
      order.push(name);
      answering(request, response);
    };
  const [one, two] = [await index(noting('one')), await index(noting('two'))];
  const client = clientOf(one, two);
  one.stop();
  const write = await timed(() => client.linkBlob('a', digest, { size: 1 }, ctx));
  expect(write.error).toBeUndefined();
  expect(write.ms).toBeGreaterThan(800);
  expect(write.ms).toBeLessThan(5_000);
  expect(order).toEqual(['two']);
});

test('two that hang cost a write hardly more than one', async () => {
  const [one, two] = [await index(), await index()];
  const client = clientOf(one, two);
  for (const each of [one, two]) each.stop();
  const write = await timed(() => client.linkBlob('a', digest, { size: 1 }, ctx));
  expect(write.error).toMatchObject({ code: 'UNAVAILABLE' });
  expect(write.ms).toBeLessThan(3_500);
  const read = await timed(() => client.tag('a', '1', ctx));
  expect(read.ms).toBeLessThan(1_900);
});

test('a write may take its time on an index that lives', async () => {
  const slow = await index((request, response) => void setTimeout(() => answering(request, response), 3_000));
  await clientOf(slow).linkBlob('a', digest, { size: 1 }, ctx);
  expect(slow.requests).toBe(1);
});

test("an index's no is not asked of the next one", async () => {
  const no: RequestListener = (_request, response) =>
    response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no"}]}');
  const [one, two] = [await index(no), await index()];
  const client = clientOf(one, two);
  expect(await client.tag('a', '1', ctx)).toBeUndefined();
  expect(await client.deleteTag('a', '1', ctx)).toBeUndefined();
  expect(two.requests).toBe(0);
});

test('a tag that leads nowhere is no absence: what the index says of it is told', async () => {
  const error = { code: 'MANIFEST_UNKNOWN', message: 'main: x is not there', detail: { broken: true } };
  const broken: RequestListener = (_request, response) =>
    response.writeHead(404).end(JSON.stringify({ errors: [error] }));
  const [one, two] = [await index(broken), await index()];
  await expect(clientOf(one, two).tag('a', '1', ctx)).rejects.toMatchObject(error);
  expect(two.requests).toBe(0);
});

test('an index that says that it cannot now is told in its own words, once; one that is silent is told as such', async () => {
  let asked = 0;
  const cannot: RequestListener = (_request, response) => {
    const message = `the hub does not answer (request ${++asked}): try again`;
    response.writeHead(503).end(JSON.stringify({ errors: [{ code: 'UNAVAILABLE', message }] }));
  };
  const [one, gone] = [await index(cannot), await index()];
  const clients = [clientOf(one), clientOf(gone, one), clientOf(one, gone)];
  const none = clientOf(gone);
  gone[Symbol.dispose]();
  for (const client of clients)
    for (const act of [() => client.tag('a', '1', ctx), () => client.linkBlob('a', digest, { size: 1 }, ctx)]) {
      const first = asked + 1;
      const { error } = await timed(act);
      expect(error).toMatchObject({
        code: 'UNAVAILABLE',
        message: `the hub does not answer (request ${first}): try again`,
      });
    }
  await expect(none.tag('a', '1', ctx)).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(/^no index answers: .*refused/),
  });
  expect(await clientOf(one, await index()).tag('a', '1', ctx)).toMatchObject({ digest });
});

test('a write says one name with each of its tries, and that it was tried where it may have been done', async () => {
  const asked: URL[] = [];
  const noting =
    (listener: RequestListener): RequestListener =>
    (request, response) => {
      asked.push(new URL(request.url ?? '', 'http://x'));
      listener(request, response);
    };
  const lost: RequestListener = (_, response) => void response.socket?.destroy();
  const client = clientOf(await index(noting(lost)), await index(noting(answering)));
  const put = { mediaType: 'm', size: 1, tags: ['1'], blobs: [], manifests: [] };
  const writes = [
    () => client.putTag('a', '1', { digest }, ctx),
    () => client.deleteTag('a', '1', ctx),
    () => client.deleteTag('a', '1', ctx, `1-${'a'.repeat(32)}` as TagVersion),
    () => client.putManifest('a', digest, put, ctx),
    () => client.putManifest('a', digest, { ...put, tags: [] }, ctx),
    () => client.deleteManifest('a', digest, ctx),
    () => client.unlinkBlob('a', digest, ctx),
  ];
  const names = new Set<string | null>();
  for (const write of writes) {
    asked.length = 0;
    await write();
    // The one that answered last is asked first.
    const again = asked.map(({ searchParams }) => searchParams.get('again'));
    expect(again).toEqual(again.length === 1 ? [null] : [null, 'true']);
    const of = new Set(asked.map(({ searchParams }) => searchParams.get('write')));
    expect(of.size).toBe(1);
    for (const name of of) names.add(name);
  }
  expect(names.size).toBe(writes.length);
  for (const name of names) expect(name).toMatch(/^[0-9a-f]{32}$/);
  // What says the same however often has none.
  asked.length = 0;
  await client.linkBlob('a', digest, { size: 1 }, ctx);
  expect(asked.map(({ search }) => search)).toEqual(['']);
});

test('a no that the index remembers by the name of the write is told as it is', async () => {
  const lost: RequestListener = (_, response) => void response.socket?.destroy();
  const refusing = (code: string, detail: object): RequestListener => {
    return (_, response) => {
      response.setHeader('content-type', 'application/json');
      response.writeHead(code === 'TAG_CHANGED' ? 409 : 404);
      response.end(JSON.stringify({ errors: [{ code, message: 'no', detail: { ...detail, named: true } }] }));
    };
  };
  const [changed, absent] = [refusing('TAG_CHANGED', { version: null }), refusing('MANIFEST_UNKNOWN', {})];
  const client = async (second: RequestListener) => clientOf(await index(lost), await index(second));
  const after = `1-${'a'.repeat(32)}` as TagVersion;
  await expect((await client(changed)).putTag('a', '1', { digest, after }, ctx)).rejects.toMatchObject({
    code: 'TAG_CHANGED',
    detail: { version: null },
  });
  expect(await (await client(absent)).deleteTag('a', '1', ctx)).toBeUndefined();
  expect(await (await client(absent)).deleteManifest('a', digest, ctx)).toBe(false);
});

test('a no that a lost write of ours may be the reason of, told by an index that knows no names, is not told as one', async () => {
  const lost: RequestListener = (_, response) => void response.socket?.destroy();
  const refusing = (code: string, detail?: unknown): RequestListener => {
    return (_, response) => {
      response.setHeader('content-type', 'application/json');
      response.writeHead(code === 'TAG_CHANGED' ? 409 : 404);
      response.end(JSON.stringify({ errors: [{ code, message: 'no', detail }] }));
    };
  };
  const after = `1-${'a'.repeat(32)}` as TagVersion;
  const changed = refusing('TAG_CHANGED', { version: null });
  const unknown = refusing('MANIFEST_UNKNOWN');
  const told = (client: IndexClient) => client.putTag('a', '1', { digest, after }, ctx);
  await expect(told(clientOf(await index(lost), await index(changed)))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await expect(told(clientOf(await index(changed)))).rejects.toMatchObject({ code: 'TAG_CHANGED' });
  const remove = (client: IndexClient) => client.deleteTag('a', '1', ctx);
  await expect(remove(clientOf(await index(lost), await index(unknown)))).rejects.toMatchObject({
    code: 'UNAVAILABLE',
  });
  expect(await remove(clientOf(await index(unknown)))).toBeUndefined();
  // Nobody got it.
  const gone = await index();
  const last = clientOf(gone, await index(changed));
  gone[Symbol.dispose]();
  await expect(told(last)).rejects.toMatchObject({ code: 'TAG_CHANGED' });
});

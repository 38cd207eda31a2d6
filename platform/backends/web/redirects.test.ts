import { expect, test } from 'vitest';
import type { WebCall } from './call.ts';
import { nextHop } from './redirects.ts';
import { httpServer, never, requester } from './web.fixtures.ts';

const call = (url: string, more: Partial<WebCall> = {}): WebCall => ({
  ...{ method: 'GET', url: new URL(url), signal: never, doing: 'read', object: 'some/key', ...more },
});

test('credentials stay with the origin that they are for, but for what the policy names', async () => {
  await using stack = new AsyncDisposableStack();
  const seen: Record<string, string | string[] | undefined>[] = [];
  const other = await httpServer(stack, ({ headers }, response) => {
    seen.push(headers);
    response.end('other');
  });
  const base = await httpServer(stack, ({ url, headers }, response) => {
    seen.push(headers);
    response.writeHead(307, { location: url === '/a' ? '/b' : `${other}/c?sig=secret` }).end();
  });
  using web = requester();
  const headers = { authorization: 'Bearer hunter2', cookie: 'a=b', range: 'bytes=0-1', 'x-own': 'own' };
  const answer = await web.request(call(`${base}/a`, { headers, redirects: { max: 2, carries: ['x-own'] } }));
  expect([answer.url.href, await answer.text()]).toEqual([`${other}/c?sig=secret`, 'other']);
  expect(seen[1]).toMatchObject(headers);
  expect(seen[2]).toMatchObject({ range: 'bytes=0-1', 'x-own': 'own' });
  expect([seen[2]?.['authorization'], seen[2]?.['cookie']]).toEqual([undefined, undefined]);
});

test('it is followed only so often, and without a policy never; a policy and `expect` hand it to the caller', async () => {
  await using stack = new AsyncDisposableStack();
  let asked = 0;
  const base = await httpServer(stack, (_request, response) => {
    asked += 1;
    response.writeHead(302, { location: '/again' }).end();
  });
  using web = requester();
  await expect(web.request(call(base, { redirects: { max: 3 } }))).rejects.toMatchObject({
    why: 'refused',
    message: expect.stringContaining('more than 3 times'),
  });
  expect(asked).toBe(4);
  await expect(web.request(call(base))).rejects.toMatchObject({ why: 'refused' });
  const handed = await web.request(call(base, { expect: [302], redirects: { max: 3 } }));
  expect(handed.headers['location']).toBe('/again');
  await handed.discard();
});

test('a body that is held goes along with 307 and 308; one that streams cannot, and a 303 is followed with a GET', async () => {
  await using stack = new AsyncDisposableStack();
  const base = await httpServer(stack, (request, response) => {
    const status = Number(request.url?.slice(1));
    if (status > 0) return void response.writeHead(status, { location: '/' }).end();
    response.write(request.method);
    request.pipe(response);
  });
  using web = requester();
  const put = (status: number, body: WebCall['body']) =>
    web.request(call(`${base}/${status}`, { method: 'PUT', body, redirects: { max: 1 } }));
  async function* stream() {
    yield Buffer.from('bytes');
  }
  for (const status of [307, 308]) {
    expect(await (await put(status, Buffer.from('bytes'))).text()).toBe('PUTbytes');
    await expect(put(status, stream())).rejects.toMatchObject({ why: 'unsupported' });
  }
  expect(await (await put(303, Buffer.from('bytes'))).text()).toBe('GET');
  expect(await (await put(303, stream())).text()).toBe('GET');
});

test('never from https to http, to another scheme or nowhere, nor with the credentials of a location', () => {
  const from = { url: new URL('https://one/a'), method: 'GET', headers: {} };
  const next = (location: string | undefined) => nextHop(from, { status: 302, location }, { max: 1 });
  expect(next('http://one/')).toMatch('from https to http');
  expect(next('ftp://one/')).toMatch('ftp:');
  expect(next('file:///etc/passwd')).toMatch('file:');
  expect(next(undefined)).toMatch('without saying where');
  expect(next('https://:not a host')).toMatch('without saying where');
  expect(next('//user:secret@two/b#c')).toMatchObject({ url: new URL('https://two/b') });
});

/** Members that hang, are dead, slow, or come back, and lists that change while calls are under way. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { byDigest } from '../../core/digest.ts';
import { testDigest } from '../../core/handout/fixtures.ts';
import { Rendezvous } from '../../core/rendezvous/rendezvous.ts';
import { CallContext } from '../clients/context.ts';
import { OriginFinder } from '../clients/finder.ts';
import { HttpClient } from '../clients/http.ts';
import { originMembers } from '../clients/origin.ts';
import { Origins } from '../clients/origins.ts';
import { Stoppable } from '../clients/stoppable.fixtures.ts';
import { fixedList, type MemberList, ToldList } from './list.ts';
import { hedgeMs, Members } from './members.ts';
import type { Member } from './types.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  vi.useRealTimers();
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const digest = testDigest(1);
const ctx = CallContext.begin();
/** Short, for tests: a process that does not answer a ping by then hangs. */
const silenceMs = 400;

async function server(name: string, afterMs = 0): Promise<Stoppable> {
  const answer = JSON.stringify({ name });
  return stack.use(await Stoppable.start((_request, response) => void setTimeout(() => response.end(answer), afterMs)));
}

function membersOf(list: MemberList): Members<HttpClient> {
  return stack.use(new Members({ list, connect: (base) => new HttpClient({ base, silenceMs }) }));
}

/** Who answers, asked in the order of the key. */
async function asked(members: Members<HttpClient>): Promise<string | undefined> {
  const found = await members.first(
    members.order('key'),
    async (member, signal) =>
      (await member.json<{ name: string }>('GET', '/', { ctx: ctx.withSignal(signal), tries: 1 })).name,
    ctx.signal,
  );
  return found.kind === 'answer' ? found.answer : undefined;
}

/** Two of them, the first in the order of the key first. */
async function pair(firstAfterMs = 0): Promise<{ first: Stoppable; second: Stoppable; members: Members<HttpClient> }> {
  const [one, two] = [await server('one', firstAfterMs), await server('two', firstAfterMs)];
  const members = membersOf(fixedList([one.url, two.url]));
  const first = members.order('key')[0]?.base === one.url ? one : two;
  return { first, second: first === one ? two : one, members };
}

describe('a member', () => {
  test('that hangs costs one caller half a second, and none after it; and is asked again once it answers', async () => {
    const { first, second, members } = await pair();
    first.stop();
    const begun = performance.now();
    expect(await asked(members)).toBeDefined();
    expect(performance.now() - begun).toBeGreaterThanOrEqual(hedgeMs - 5);
    const requests = first.requests;
    for (let times = 0; times < 3; times++) expect(await asked(members)).toBeDefined();
    expect([first.requests, second.requests]).toEqual([requests, 4]);
    await expect.poll(() => members.of(first.url)?.pulse.silent).toBe(true);
    expect(members.silent).toBe(false);
    first.goOn();
    await expect.poll(() => members.order('key')[0]?.base, { timeout: 8_000 }).toBe(first.url);
  });

  test('that is dead is passed over at once, and comes back when something answers there', async () => {
    const { first, members } = await pair();
    const { url } = first;
    const { port } = first.server.address() as AddressInfo;
    await new Promise((resolve) => first.server.close(resolve).closeAllConnections());
    expect(await asked(members)).toBeDefined();
    expect(members.order('key').at(-1)?.base).toBe(url);
    const back = createServer((_request, response) => response.end('{}')).listen(port, '127.0.0.1');
    stack.defer(() => void back.close().closeAllConnections());
    await expect.poll(() => members.order('key')[0]?.base, { timeout: 8_000 }).toBe(url);
  });

  test('that is slow is not taken for one that hangs: it answers pings', async () => {
    const { first, second, members } = await pair(2 * hedgeMs);
    expect(await asked(members)).toBeDefined();
    // Both were asked, the second one when the first was late.
    expect([first.requests, second.requests]).toEqual([1, 1]);
    await expect.poll(() => members.order('key')[0]?.base).toBe(first.url);
    expect(members.of(first.url)?.pulse.silent).toBe(false);
  });

  test('that one caller finds silent is known to be so to all others', async () => {
    const [one, two] = [await server('one'), await server('two')];
    const urls = [one.url, two.url];
    const members = stack.use(originMembers(fixedList(urls)));
    const first = members.order(digest)[0]?.url === one.url ? one : two;
    const other = first === one ? two : one;
    const otherUrl = other.url;
    await new Promise((resolve) => first.server.close(resolve).closeAllConnections());
    const origins = new Origins({ members, copies: 1, required: 1 });
    await origins.onCopies(digest, (client, call) => client.ping(call), ctx);
    const finder = new OriginFinder({ clock: { nowMs: () => 0 }, origins: members });
    expect([origins.order(digest)[0]?.url, finder.urls]).toEqual([otherUrl, urls]);
    const before = other.requests;
    await finder.locate(byDigest(digest), ctx).catch(() => undefined);
    expect(other.requests).toBe(before + 1);
  });
});

describe('a list', () => {
  test('that changes while a call is under way lets it end; what comes next goes to who is there', async () => {
    const [one, two] = [await server('one', 600), await server('two')];
    const list = new ToldList([one.url]);
    const members = membersOf(list);
    const slow = asked(members);
    await expect.poll(() => one.requests).toBe(1);
    expect(members.of(one.url)?.underWay).toBe(1);
    expect(list.tell([two.url])).toBe(true);
    expect([members.urls, members.of(one.url), members.order('key').length]).toEqual([[two.url], undefined, 1]);
    expect(await asked(members)).toBe('two');
    expect(await slow).toBe('one');
    expect(one.requests).toBe(1);
  });

  test('keeps the clients of those that stay, and disposes of who has left once nothing is under way there', async () => {
    vi.useFakeTimers();
    const made: (Member & { url: string; underWay: number; disposed: boolean })[] = [];
    const connect = (url: string) => {
      const member = {
        url,
        underWay: 0,
        disposed: false,
        pulse: { well: true, silent: false, doubt: () => undefined },
        [Symbol.asyncDispose]: async () => {
          member.disposed = true;
        },
      };
      made.push(member);
      return member;
    };
    const list = new ToldList(['a', 'b']);
    const members = new Members({ list, connect });
    const [a, b] = made as [(typeof made)[0], (typeof made)[0]];
    a.underWay = 1;
    const seen: string[][] = [];
    const listening = members.onChange(() => seen.push(members.urls));
    list.tell(['b', 'c']);
    listening[Symbol.dispose]();
    expect(made.map(({ url }) => url)).toEqual(['a', 'b', 'c']);
    expect([members.of('b'), members.of('a')]).toEqual([b, undefined]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(a.disposed).toBe(false);
    a.underWay = 0;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(made.map(({ disposed }) => disposed)).toEqual([true, false, false]);
    list.tell(['c']);
    await members[Symbol.asyncDispose]();
    expect(made.map(({ disposed }) => disposed)).toEqual([true, true, true]);
    list.tell(['d']);
    expect([made.length, seen]).toEqual([3, [['b', 'c']]]);
  });

  test('is told of what is new, not of another order of the same', () => {
    const list = new ToldList();
    let news = 0;
    const listening = list.onChange(() => news++);
    expect([list.tell(['a', 'b']), list.tell(['b', 'a']), list.tell(['b'])]).toEqual([true, false, true]);
    listening[Symbol.dispose]();
    list.tell([]);
    expect([news, list.urls]).toEqual([2, []]);
  });

  test('places keys as every other list of the same members does, and ourselves among them', () => {
    const urls = ['http://a', 'http://b', 'http://c'];
    const members = stack.use(
      originMembers(fixedList(urls.toReversed()), { self: { id: 'http://b', url: 'http://b', weight: 1 } }),
    );
    const ring = Rendezvous.of(urls);
    for (let no = 0; no < 50; no++) {
      const key = `key ${no}`;
      expect(members.owners(key, 2).map(({ id }) => id)).toEqual(ring.pick(key, 2));
      expect(members.owns(key, 'http://b', 2)).toBe(ring.owns(key, 'http://b', 2));
      expect(members.order(key).map(({ url }) => url)).toEqual(ring.pick(key).filter((url) => url !== 'http://b'));
    }
    expect([members.urls.toSorted(), members.of('http://b')]).toEqual([['http://a', 'http://c'], undefined]);
  });
});

/** Members that tell who they are: over real HTTP, as an origin answers. */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { ORIGIN } from '../../core/contracts/origin.ts';
import { byDigest } from '../../core/digest.ts';
import { testDigest } from '../../core/handout/fixtures.ts';
import { Rendezvous } from '../../core/rendezvous/rendezvous.ts';
import { CallContext } from '../clients/context.ts';
import { type OriginClient, originMembers } from '../clients/origin.ts';
import { Origins } from '../clients/origins.ts';
import { fixedList, ToldList } from './list.ts';
import type { Members } from './members.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const idOf = (no: number): string => no.toString(16).padStart(32, '0');
const timing = { everyMs: 50, withinMs: 400, fails: 2, passes: 2 };

/** An origin: what it says of itself may be changed. */
class Told {
  identity: object | undefined;
  readonly #server: Server;

  constructor(server: Server, identity: object | undefined) {
    this.#server = server;
    this.identity = identity;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  static async start(identity: object | undefined, afterMs = 0): Promise<Told> {
    const server = createServer((request, response) => {
      const [path] = (request.url ?? '').split('?');
      const known = path === ORIGIN.identity.pattern && told.identity !== undefined;
      const missing = { errors: [{ code: 'NOT_FOUND', message: 'no such path' }] };
      const answer = (): void => {
        response.statusCode = known ? 200 : 404;
        response.end(JSON.stringify(known ? told.identity : missing));
      };
      setTimeout(answer, afterMs);
    });
    const told = new Told(server, identity);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stack.defer(() => void server.close().closeAllConnections());
    return told;
  }
}

const origin = (no: number, o: object = {}): Promise<Told> =>
  Told.start({ id: idOf(no), instance: idOf(100 + no), weight: 1, ...o });

function membersOf(list: Parameters<typeof originMembers>[0], graceMs?: number): Members<OriginClient> {
  return stack.use(originMembers(list, { ids: true, timing, graceMs }));
}

const placed = async (members: Members<OriginClient>, count: number): Promise<void> =>
  await expect.poll(() => members.places.length).toBe(count);

describe('members with ids', () => {
  test('who has just started says of nothing that nobody has it before each has said, or was told, who it is', async () => {
    const [one, slow] = [await origin(1), await Told.start({ id: idOf(2), instance: idOf(102), weight: 1 }, 300)];
    const members = membersOf(fixedList([one.url, slow.url]));
    const unsaid = [one, slow].map(({ url }) => expect.stringContaining(`${url}: it has not said yet who it is`));
    expect(members.unheard).toEqual(unsaid);
    // Both answer that they hold nothing, and it is waited a moment for who they are.
    const origins = new Origins({ members, copies: 1, required: 1 });
    const proved = async () => (await origins.proved(byDigest(testDigest(1)), CallContext.begin())) ?? 'on none';
    await expect.poll(() => proved().catch(String), { timeout: 15_000 }).toBe('on none');
    expect(members.unheard).toEqual([]);
    expect(membersOf(new ToldList([])).unheard).toEqual(['list: nobody is in it yet']);
  });

  test('one that answers questions and never says who it is keeps it from being said that nobody has anything', async () => {
    const mute = await Told.start({ id: 'no id at all' });
    const origins = new Origins({ members: membersOf(fixedList([mute.url])), copies: 1, required: 1 });
    const proved = origins.proved(byDigest(testDigest(1)), CallContext.begin());
    await expect(proved).rejects.toThrow('it has not said yet who it is');
  });

  test('one that could not say who it is is asked again as soon as it answers a question, however long it is left alone', async () => {
    const late = await Told.start({ id: 'no id at all' });
    const origins = new Origins({ members: membersOf(fixedList([late.url])), copies: 1, required: 1 });
    const proved = () => origins.proved(byDigest(testDigest(1)), CallContext.begin());
    await expect(proved()).rejects.toThrow('it has not said yet who it is');
    late.identity = { id: idOf(1), instance: idOf(101), weight: 1 };
    expect(await proved()).toBeUndefined();
  });

  test('who starts with a part of the list says of nothing that nobody has it while others know of more', async () => {
    const [one, two] = [await origin(1), await origin(2)];
    one.identity = { ...one.identity, members: [{ id: idOf(2), url: two.url, weight: 1 }] };
    const list = new ToldList([one.url]);
    const members = membersOf(list);
    await expect.poll(() => members.unheard).toEqual([expect.stringContaining(`${idOf(2)}: others know it`)]);
    list.tell([one.url, two.url]);
    await placed(members, 2);
    expect(members.unheard).toEqual([]);
  });

  test('own keys by their ids and weights, whatever they are called; before that the list orders them', async () => {
    const all = [await origin(1), await origin(2, { weight: 3 }), await origin(3)];
    const urls = all.map(({ url }) => url);
    const members = membersOf(fixedList(urls));
    expect(members.order('key').map(({ url }) => url)).toEqual(urls);
    await members.placed(new AbortController().signal);
    const ring = new Rendezvous([1, 2, 3].map((no) => ({ id: idOf(no), weight: no === 2 ? 3 : 1 })));
    for (let no = 0; no < 30; no++) {
      const key = `key ${no}`;
      expect(members.owners(key, 2).map(({ id }) => id)).toEqual(ring.pick(key, 2));
      const ranked = ring.pick(key).map((id) => urls[Number.parseInt(id, 16) - 1]);
      expect(members.order(key).map(({ url }) => url)).toEqual(ranked);
    }
    expect([members.byId(idOf(2))?.url, members.idOf(urls[0] as string)]).toEqual([urls[1], idOf(1)]);
  });

  test('a push waits for them, as long as they may answer, rather than go elsewhere', async () => {
    const all = [await origin(1), await origin(2), await origin(3)];
    const slow = await Told.start({ id: idOf(4), instance: idOf(5), weight: 1 }, 150);
    const members = membersOf(fixedList([...all.map(({ url }) => url), slow.url]));
    const origins = new Origins({ members, copies: 2, required: 2 });
    const asked: string[] = [];
    const act = async ({ url }: OriginClient): Promise<void> => void asked.push(url);
    const key = Array.from({ length: 100 }, (_, no) => `key ${no}`).find((one) => {
      return Rendezvous.of([1, 2, 3, 4].map(idOf)).owns(one, idOf(4), 1);
    });
    await origins.onCopies(key as string, act, CallContext.begin());
    expect(asked[0]).toBe(slow.url);
  });

  test('one that moves keeps its place, and is called where it is now', async () => {
    const [first, second] = [await origin(1), await origin(2)];
    const moved = await Told.start({ id: idOf(1), instance: idOf(50), weight: 1 });
    const list = new ToldList([first.url, second.url]);
    const members = membersOf(list);
    await placed(members, 2);
    list.tell([second.url]);
    expect(members.places.find(({ id }) => id === idOf(1))).toMatchObject({ url: undefined });
    list.tell([second.url, moved.url]);
    await expect.poll(() => members.byId(idOf(1))?.url).toBe(moved.url);
    expect(members.places).toHaveLength(2);
  });

  test('who left for good goes from the ring by itself, and whoever listens is told', async () => {
    const [first, second] = [await origin(1), await origin(2)];
    const list = new ToldList([first.url, second.url]);
    const members = membersOf(list, 200);
    await placed(members, 2);
    list.tell([second.url]);
    expect(members.places).toHaveLength(2);
    let told = 0;
    using _listening = members.onChange(() => told++);
    await placed(members, 1);
    expect(told).toBe(1);
  });

  test('one of a release before, which has no id, is known by its URL', async () => {
    const [first, before] = [await origin(1), await Told.start(undefined)];
    const members = membersOf(fixedList([first.url, before.url]));
    await placed(members, 2);
    expect(members.byId(before.url)?.url).toBe(before.url);
    before.identity = { id: idOf(2), instance: idOf(3), weight: 1 };
    await expect.poll(() => members.byId(idOf(2))?.url).toBe(before.url);
    expect(members.places).toHaveLength(2);
  });

  test('one that is being emptied owns nothing, and is asked last; with all of them it is as with none', async () => {
    const [first, second] = [await origin(1), await origin(2, { draining: true })];
    const members = membersOf(fixedList([first.url, second.url]));
    await placed(members, 2);
    for (let no = 0; no < 20; no++) {
      expect(members.owners(`key ${no}`).map(({ id }) => id)).toEqual([idOf(1)]);
      expect(members.order(`key ${no}`).map(({ url }) => url)).toEqual([first.url, second.url]);
    }
    first.identity = { id: idOf(1), instance: idOf(101), weight: 1, draining: true };
    await expect.poll(() => members.owners('key').length).toBe(2);
  });

  test('of one that nobody reaches, others tell the place', async () => {
    const gone = await origin(9);
    const { url } = gone;
    const list = new ToldList([url]);
    const others = [{ id: idOf(2), url, weight: 1 }];
    const [first] = [await origin(1, { members: others })];
    list.tell([first.url, 'http://127.0.0.1:1']);
    others[0] = { id: idOf(2), url: 'http://127.0.0.1:1', weight: 1 };
    const members = membersOf(list);
    await placed(members, 2);
    expect(members.places.map(({ id }) => id).toSorted()).toEqual([idOf(1), idOf(2)]);
  });

  test('two processes of one id are one to call', async () => {
    const [one, other] = [await origin(1), await origin(1, { instance: idOf(7) })];
    const members = membersOf(fixedList([one.url, other.url]));
    await expect.poll(() => members.doubles).toHaveLength(1);
    expect([members.all.length, members.order('key').length, members.owners('key').length]).toEqual([1, 1, 1]);
    other.identity = { id: idOf(2), instance: idOf(7), weight: 1 };
    await expect.poll(() => members.all.length).toBe(2);
    expect(members.doubles).toEqual([]);
  });

  test('what answers nonsense is out, and in again once it answers right', async () => {
    const [first, second] = [await origin(1), await origin(2)];
    const members = membersOf(fixedList([first.url, second.url]));
    await placed(members, 2);
    const key = ['a', 'b', 'c', 'd', 'e'].find((one) => members.order(one)[0]?.url === first.url) as string;
    first.identity = { id: 'nobody' };
    await expect.poll(() => members.health(first.url)?.up).toBe(false);
    expect(members.order(key).map(({ url }) => url)).toEqual([second.url, first.url]);
    expect(members.owners(key, 1)).toMatchObject([{ id: idOf(1) }]);
    first.identity = { id: idOf(1), instance: idOf(101), weight: 1 };
    await expect.poll(() => members.order(key)[0]?.url, { timeout: 9_000 }).toBe(first.url);
  }, 15_000);
});

/** The simulated pair of HTTP server and client does what the real pair does: one list of scenes, seen alike by both. */

import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, test } from 'vitest';
import { CallContext } from '../../../platform/clients/context.ts';
import { HttpClient } from '../../../platform/clients/http.ts';
import { callOf } from '../../../platform/http/call.ts';
import { bodyOf, streamBodies } from '../../../platform/http/exchange.ts';
import { createHttp, listen } from '../../../platform/http/server.ts';
import { silentLog } from '../../../platform/telemetry/log.ts';
import { Metrics } from '../../../platform/telemetry/metrics.ts';
import { installTimers } from '../virtual/timers.ts';
import { World } from '../world.ts';
import { Wires } from './wires.ts';

type Pair = {
  readonly client: HttpClient;
  readonly nobody: HttpClient;
  /** Lets `scene` go on until it has ended, in whichever time this pair lives. */
  run<T>(scene: () => Promise<T>): Promise<T>;
};

const stallMs = 60_000;
const chunk = Buffer.alloc(256 * 1024, 7);
const chunks = 256;
let closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.toReversed()) await close();
  closing = [];
});

/** What the handlers saw. */
let seen: string[];

function served(): FastifyInstance {
  const mine: string[] = [];
  seen = mine;
  const app = createHttp({ role: 'test', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  app.get('/json', async (request) => ({ id: request.id, from: request.headers['x-from'] }));
  app.get('/never', (request, _reply) => {
    callOf(request).signal.addEventListener('abort', () => mine.push('the client went'));
  });
  app.get('/part', (request, reply) => {
    reply.hijack();
    reply.raw.writeHead(200, { 'content-length': 100 });
    reply.raw.write('abc', () => {
      if ((request.query as { cut?: string }).cut !== undefined) reply.raw.destroy();
    });
    reply.raw.once('close', () => mine.push('closed'));
  });
  app.get('/large', (_request, reply) => {
    reply.hijack();
    reply.raw.writeHead(200, { 'content-length': chunk.length * chunks });
    let sent = 0;
    const more = (): void => {
      while (sent < chunks) {
        sent++;
        if (!reply.raw.write(chunk)) return void reply.raw.once('drain', more);
      }
      reply.raw.end();
    };
    reply.raw.once('close', () => mine.push(sent === chunks ? 'sent all' : 'sent a part'));
    more();
  });
  app.register((scope, _options, done) => {
    streamBodies(scope);
    scope.put('/sum', async (request) => {
      let bytes = 0;
      try {
        for await (const part of bodyOf(request.raw, stallMs).chunks()) bytes += part.length;
      } catch (error) {
        mine.push(`${(error as { code: string }).code} after ${bytes}`);
        throw error;
      }
      return { bytes };
    });
    scope.put('/refused', async (_request, reply) => reply.code(409).send({ errors: [] }));
    scope.put('/unread', () => new Promise(() => undefined));
    done();
  });
  return app;
}

async function real(): Promise<Pair> {
  const app = served();
  const listening = await listen(app, { host: '127.0.0.1', port: 0 });
  const client = new HttpClient({ base: `http://127.0.0.1:${listening.port}` });
  const nobody = new HttpClient({ base: 'http://127.0.0.1:1' });
  closing.push(
    // Some handlers never answer: nobody waits for them.
    () => app.server.closeAllConnections(),
    () => void listening[Symbol.asyncDispose](),
    () => void client[Symbol.asyncDispose](),
    () => void nobody[Symbol.asyncDispose](),
  );
  return { client, nobody, run: (scene) => scene() };
}

async function simulated(): Promise<Pair> {
  const world = new World(1);
  world.faultsOver = true;
  const app = served();
  closing.push(
    installTimers(world.events, () => {
      world.dirty = true;
    }),
  );
  const wires = new Wires(world);
  const [here, there] = [world.addHost(100e6), world.addHost(100e6)];
  await listen(app, { host: 'there', port: 80 }, wires.doors({ host: there, alive: true }));
  const transport = wires.transport({ host: here, alive: true });
  const client = new HttpClient({ base: 'http://there', transport });
  const nobody = new HttpClient({ base: 'http://nobody', transport });
  return {
    client,
    nobody,
    async run(scene) {
      let over = false;
      const ended = scene().finally(() => {
        over = true;
      });
      ended.catch(() => undefined);
      world.dirty = true;
      expect(await world.run(world.nowMs + 60_000, () => over)).toBe(true);
      expect(world.violation).toBeUndefined();
      return await ended;
    },
  };
}

async function* source(of: number, taken: { chunks: number }): AsyncGenerator<Uint8Array> {
  for (; taken.chunks < of; taken.chunks++) yield chunk;
}

const ms = (wait: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, wait));
const why = (error: unknown): string => {
  const { code, message } = error as { code?: string; message: string };
  return `${code ?? 'Error'}: ${message.replace(/http:\/\/[^/]+/, 'URL')}`;
};
/** What a call came to, as its caller sees it. */
const outcome = (call: Promise<unknown>): Promise<unknown> => call.catch(why);

async function settled(until: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !until(); tries++) await ms(10);
}

/** Each answers what is seen of it; the same of both pairs. */
const SCENES: Readonly<Record<string, { play(pair: Pair): Promise<unknown>; expected: unknown }>> = {
  'a plain call': {
    play: ({ client }) =>
      client.json('GET', '/json', { ctx: CallContext.begin({ requestId: 'r1' }), headers: { 'x-from': 'me' } }),
    expected: { id: 'r1', from: 'me' },
  },
  'many calls at once, more than there are connections': {
    play: async ({ client }) =>
      (await Promise.all(Array.from({ length: 200 }, () => client.json<{ id: string }>('GET', '/json')))).length,
    expected: 200,
  },
  'a refused connection': {
    play: ({ nobody }) => outcome(nobody.json('GET', '/json', { tries: 1 })),
    expected: 'UNAVAILABLE: URL/json: connection refused: is it running?',
  },
  'a streamed request, and a large one': {
    play: ({ client }) => client.json('PUT', '/sum', { body: source(chunks, { chunks: 0 }) }),
    expected: { bytes: chunk.length * chunks },
  },
  'a large answer': {
    play: async ({ client }) => {
      const reply = await client.stream('GET', '/large');
      let bytes = 0;
      for await (const part of reply.body) bytes += part.length;
      await settled(() => seen.length > 0);
      return [bytes, seen];
    },
    expected: [chunk.length * chunks, ['sent all']],
  },
  'whoever does not read lets the other side wait: an answer': {
    play: async ({ client }) => {
      const stop = new AbortController();
      const reply = await client.stream('GET', '/large', {
        ctx: CallContext.begin({ signal: stop.signal }),
        stallMs: 50,
      });
      await ms(500);
      const [first] = [await reply.body[Symbol.asyncIterator]().next()];
      stop.abort(new Error('enough'));
      await settled(() => seen.length > 0);
      return [first.done, seen];
    },
    expected: [false, ['sent a part']],
  },
  'whoever does not read lets the other side wait: a request': {
    play: async ({ client }) => {
      const taken = { chunks: 0 };
      const call = outcome(client.json('PUT', '/unread', { body: source(chunks, taken), stallMs: 300 }));
      return [await call, taken.chunks < chunks];
    },
    expected: ['UNAVAILABLE: URL/unread: no answer in time', true],
  },
  'an answer that is cut': {
    play: async ({ client }) => outcome((await client.stream('GET', '/part?cut')).bytes()),
    expected: 'UNAVAILABLE: URL/part?cut: the connection was cut',
  },
  'a request that its client gives up in its middle': {
    play: async ({ client }) => {
      const stop = new AbortController();
      async function* slow() {
        yield chunk;
        await ms(50);
        stop.abort(new Error('enough'));
        await ms(50);
        yield chunk;
      }
      const ctx = CallContext.begin({ signal: stop.signal });
      const said = await outcome(client.json('PUT', '/sum', { body: slow(), ctx }));
      await settled(() => seen.length > 0);
      return [said, seen];
    },
    expected: ['Error: enough', [`REQUEST_INVALID after ${chunk.length}`]],
  },
  'a client that goes is noticed by the handler': {
    play: async ({ client }) => {
      const stop = new AbortController();
      const call = outcome(client.json('GET', '/never', { ctx: CallContext.begin({ signal: stop.signal }) }));
      await ms(50);
      stop.abort(new Error('enough'));
      const said = await call;
      await settled(() => seen.length > 0);
      return [said, seen];
    },
    expected: ['Error: enough', ['the client went']],
  },
  'no head in time': {
    play: ({ client }) => outcome(client.json('GET', '/never', { stallMs: 100, tries: 1 })),
    expected: 'UNAVAILABLE: URL/never: no answer in time',
  },
  'no answer within a limit': {
    play: ({ client }) => outcome(client.json('GET', '/never', { withinMs: 100, tries: 1 })),
    expected: 'UNAVAILABLE: URL/never: no answer within 100 ms',
  },
  'an answer that stalls in its middle': {
    play: async ({ client }) => {
      const said = await outcome((await client.stream('GET', '/part', { stallMs: 100 })).bytes());
      await settled(() => seen.length > 0);
      return [said, seen];
    },
    expected: ['UNAVAILABLE: URL/part: the answer stalled', ['closed']],
  },
  'an answer before the body is over': {
    play: async ({ client }) => {
      const reply = await client.stream('PUT', '/refused', { body: source(1, { chunks: 0 }), expect: [409] });
      await reply.discard();
      return [reply.status, (await client.stream('GET', '/json')).status];
    },
    expected: [409, 200],
  },
};

for (const [name, make] of [
  ['real', real],
  ['simulated', simulated],
] as const) {
  describe(name, () => {
    for (const [scene, { play, expected }] of Object.entries(SCENES)) {
      test(scene, async () => {
        const pair = await make();
        expect(await pair.run(() => play(pair))).toEqual(expected);
      });
    }
  });
}

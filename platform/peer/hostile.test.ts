/**
 * Peers that lie, break the protocol or just make noise, over real sockets: it costs them their link
 * and a ban, and nobody else anything.
 */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { pieceBytes } from '../../core/piece.ts';
import { Decoder } from '../../core/wire/decode.ts';
import { encode } from '../../core/wire/encode.ts';
import { protocolVersion } from '../../core/wire/limits.ts';
import type { Message, PeerAddress, Request } from '../../core/wire/messages.ts';
import type { BlobEntry } from '../store/store.ts';
import { MemoryTracker, readBlob, seedBlob, slotsLeft, startNode, type TestNode, totalOf, until } from './fixtures.ts';

const mebibyte = 1024 * 1024;
const running: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function start(tracker: MemoryTracker, o: Parameters<typeof startNode>[1] = {}): Promise<TestNode> {
  const node = await startNode(tracker, o);
  running.push(node);
  return node;
}

type Answer = (request: Request, length: number) => Uint8Array[];

/** A feeder by hand: claims to have all of `entry`, grants without end, and answers requests as `answer` says. */
class Liar {
  readonly self: PeerAddress;
  links = 0;
  requests = 0;
  closed = 0;
  readonly #entry: BlobEntry;
  readonly #answer: Answer;

  private constructor(port: number, entry: BlobEntry, answer: Answer) {
    this.self = { node: 'ee'.repeat(16), host: '127.0.0.1', port, role: 'agent', zone: '' };
    this.#entry = entry;
    this.#answer = answer;
  }

  static async listen(entry: BlobEntry, answer: Answer): Promise<Liar> {
    const server = createServer();
    const sockets = new Set<Socket>();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const liar = new Liar((server.address() as AddressInfo).port, entry, answer);
    server.on('connection', (socket) => {
      sockets.add(socket);
      liar.#serve(socket);
    });
    running.push({
      async [Symbol.asyncDispose]() {
        for (const socket of sockets) socket.destroy();
        server.close();
      },
    });
    return liar;
  }

  /** So that the tracker hands it out. */
  announce(tracker: MemoryTracker, digest: Digest): void {
    tracker.swarm(digest).members.set(this.self.node, { peer: this.self, state: 'have', answer: () => undefined });
  }

  #serve(socket: Socket): void {
    this.links++;
    socket.on('error', () => undefined);
    socket.on('close', () => this.closed++);
    const decoder = new Decoder('puller');
    socket.write(encode({ kind: 'hello', version: protocolVersion, features: 0, cluster: 'test', self: this.self }));
    socket.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; ) {
        at = decoder.push(chunk, at);
        const message = decoder.take();
        if (message !== undefined) for (const bytes of this.#reply(message)) socket.write(bytes);
      }
    });
  }

  #reply(message: Message): Uint8Array[] {
    const { meta, hashes } = this.#entry;
    if (message.kind === 'open') {
      const { swarm } = message;
      const opened = encode({ kind: 'opened', swarm, meta, all: true, growing: false, have: new Uint8Array(0) });
      const list = encode({ kind: 'hashes', swarm, from: 0, total: hashes.length / 32, hashes });
      const grants = [0, 1, 2, 3].map((grant) => encode({ kind: 'grant', grant, swarm, piece: -1 }));
      return [opened, ...(message.needHashes ? [list] : []), ...grants];
    }
    if (message.kind !== 'request') return [];
    this.requests++;
    return this.#answer(message, pieceBytes(meta, message.piece));
  }
}

type Scene = { tracker: MemoryTracker; origin: TestNode; agent: TestNode; entry: BlobEntry; bytes: Buffer };

async function scene(): Promise<Scene> {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, 8 * mebibyte);
  const agent = await start(tracker);
  return { tracker, origin, agent, entry: origin.store.get(blob.digest) as BlobEntry, bytes: blob.bytes };
}

async function completes({ agent, entry, bytes }: Scene): Promise<void> {
  await agent.node.pull(entry.digest).complete;
  expect(Buffer.compare(await readBlob(agent, entry.digest), bytes)).toBe(0);
  await until(() => slotsLeft(agent) === 0);
}

test.each<[string, RegExp, Answer]>([
  [
    'corrupt pieces',
    /reason="sent a corrupt piece of"/,
    ({ grant, swarm, piece }, length) => [
      encode({ kind: 'piece', grant, swarm, piece, length }),
      new Uint8Array(length),
    ],
  ],
  [
    'a piece of the wrong length',
    /reason="piece: wrong length"/,
    ({ grant, swarm, piece }, length) => [
      encode({ kind: 'piece', grant, swarm, piece, length: length - 1 }),
      new Uint8Array(length - 1),
    ],
  ],
  [
    'a piece that was not asked for',
    /reason="piece: not asked for"/,
    ({ grant, swarm, piece }, length) => {
      const header = encode({ kind: 'piece', grant, swarm, piece: (piece + 13) % 32, length });
      return [header, new Uint8Array(length)];
    },
  ],
  ['noise', /reason="[a-zA-Z]+: /, () => [Buffer.alloc(5000, 0xa5)]],
])('a feeder that sends %s loses its link and is banned; the pull completes', async (_what, reason, answer) => {
  const scened = await scene();
  const liar = await Liar.listen(scened.entry, answer);
  liar.announce(scened.tracker, scened.entry.digest);
  // The origin comes later: the liar is asked first.
  const honest = scened.tracker.swarm(scened.entry.digest).members;
  const late = honest.get(scened.origin.node.self.node);
  honest.delete(scened.origin.node.self.node);
  const pull = scened.agent.node.pull(scened.entry.digest);
  await until(() => liar.closed === 1);
  if (late !== undefined) honest.set(scened.origin.node.self.node, late);
  await completes(scened);
  expect(liar.links).toBe(1);
  expect(liar.requests).toBeGreaterThan(0);
  expect(pull.stats.bytesFromOrigins).toBe(scened.bytes.length);
  const text = await scened.agent.metrics.text();
  expect(
    text
      .split('\n')
      .filter((line) => line.startsWith('shoal_peer_faults_total{'))
      .join(),
  ).toMatch(reason);
});

test('noise on the listening side ends that connection only', async () => {
  const scened = await scene();
  const { port } = scened.origin.node.self;
  for (const bytes of [
    Buffer.alloc(64, 0xff),
    Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'),
    encode({ kind: 'revoke', swarm: 0 }),
  ]) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(bytes);
    socket.resume();
    await once(socket, 'close');
  }
  expect(await totalOf(scened.origin, 'peer_faults_total')).toBe(3);
  await completes(scened);
});

test('a feeder that hangs up in the middle of every piece does not stop the pull', async () => {
  const scened = await scene();
  const liar = await Liar.listen(scened.entry, ({ grant, swarm, piece }, length) => [
    encode({ kind: 'piece', grant, swarm, piece, length }),
    new Uint8Array(length >> 1),
    encode({ kind: 'goodbye', reason: 'shutdown' }),
  ]);
  liar.announce(scened.tracker, scened.entry.digest);
  await completes(scened);
});

/** What net.ts promises, of each of the three: TCP, TLS, and simulated. */

import { afterEach, describe, expect, test } from 'vitest';
import type { Connection, Door, Ears, Incoming, Listener } from './net.ts';
import { type TestWorld, worlds } from './testing/worlds.ts';

/** Notes what it is told; reads into buffers of its own, each as long as `bufferBytes` says by then. */
class Noter implements Ears {
  readonly told: string[] = [];
  readonly chunks: Buffer[] = [];
  buffer?: () => Uint8Array;
  /** Buffers that were given, the last one last. */
  readonly given: Uint8Array[] = [];
  readsOn = true;
  onReceived: () => void = () => undefined;

  constructor(bufferBytes?: () => number) {
    if (bufferBytes === undefined) return;
    this.buffer = () => {
      const buffer = new Uint8Array(new SharedArrayBuffer(bufferBytes()));
      this.given.push(buffer);
      return buffer;
    };
  }
  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
  connected(): void {
    this.told.push('connected');
  }
  received(bytes: number, buffer: Uint8Array): boolean {
    if (this.buffer !== undefined && !this.given.includes(buffer)) throw new Error('not a buffer of ours');
    this.chunks.push(Buffer.from(buffer.subarray(0, bytes)));
    this.onReceived();
    return this.readsOn;
  }
  finished(): void {
    this.told.push('finished');
  }
  closed(why: string): void {
    this.told.push(`closed: ${why}`);
  }
  get isClosed(): boolean {
    return this.told.some((line) => line.startsWith('closed'));
  }
}

type Two = { dialler: Connection; acceptor: Connection; dials: Noter; accepts: Noter; listener: Listener };

const undo: (() => void)[] = [];
afterEach(() => {
  for (const one of undo.splice(0)) one();
});

const nothing = { failed: (error: Error) => { throw error; } }; // biome-ignore format: one line
const noise = (bytes: number): Buffer => Buffer.from(Array.from({ length: bytes }, (_, i) => (i * 7 + (i >> 8)) & 255));

describe.each(worlds())('$name', (world: TestWorld) => {
  async function listen(door: Partial<Door>): Promise<Listener> {
    const accept = (incoming: Incoming): void => door.accept?.(incoming);
    const { letsIn } = door;
    const listener = await world.server.listen({ host: world.host, port: 0 }, { ...nothing, accept, letsIn });
    undo.push(() => void listener.close());
    return listener;
  }

  async function connected(dials = new Noter(), accepts = new Noter()): Promise<Two> {
    const held: { acceptor?: Connection } = {};
    const listener = await listen({ accept: (incoming) => { held.acceptor = incoming.take(accepts); } }); // biome-ignore format: one line
    const dialler = world.client.dial({ host: world.host, port: listener.port }, dials);
    expect(dialler.connecting).toBe(true);
    await world.until(() => dials.told.length > 0 && held.acceptor !== undefined);
    expect([dials.told, accepts.told, dialler.connecting]).toEqual([['connected'], [], false]);
    const acceptor = held.acceptor as Connection;
    undo.unshift(() => dialler.destroy(), () => acceptor.destroy()); // biome-ignore format: one line
    return { dialler, acceptor, dials, accepts, listener };
  }

  test('bytes arrive in order both ways, in the buffers that the reader gives, whatever their length', async () => {
    let length = 0;
    const dials = new Noter(() => {
      length = (length * 31 + 7) % 9_000;
      return 1 + length;
    });
    const { dialler, acceptor, accepts } = await connected(dials);
    const down = noise(700_000);
    let done = 0;
    for (let at = 0; at < down.length; at += 70_000) acceptor.write(down.subarray(at, at + 70_000), () => done++);
    dialler.cork();
    for (const part of ['one', ' and ', 'two']) dialler.write(Buffer.from(part), () => done++);
    dialler.uncork();
    await world.until(() => dials.bytes.length === down.length && accepts.bytes.length === 11 && done === 13);
    expect(dials.bytes.equals(down)).toBe(true);
    expect(accepts.bytes.toString()).toBe('one and two');
  });

  test('a dialler with no buffer reads as well', async () => {
    const { acceptor, dials } = await connected();
    acceptor.write(noise(100_000), () => undefined);
    await world.until(() => dials.bytes.length === 100_000);
    expect(dials.bytes.equals(noise(100_000))).toBe(true);
  });

  test('what is written before there is a connection arrives', async () => {
    const accepts = new Noter();
    const listener = await listen({ accept: (incoming) => void incoming.take(accepts) });
    const dialler = world.client.dial({ host: world.host, port: listener.port }, new Noter());
    dialler.write(Buffer.from('early'), () => undefined);
    await world.until(() => accepts.bytes.toString() === 'early');
    dialler.destroy();
  });

  test('whoever answers false reads no more until resume; nothing is lost', async () => {
    const dials = new Noter(() => 1_000);
    const { dialler, acceptor } = await connected(dials);
    dials.readsOn = false;
    const all = noise(50_000);
    acceptor.write(all, () => undefined);
    await world.until(() => dials.chunks.length > 0);
    for (let reads = 1; reads < 4; reads++) {
      await world.rest();
      expect(dials.chunks.length).toBe(reads);
      const before = dials.chunks.length;
      dialler.resume();
      expect(dials.chunks.length).toBe(before);
      await world.until(() => dials.chunks.length > before);
    }
    dials.readsOn = true;
    dialler.resume();
    await world.until(() => dials.bytes.length === all.length);
    expect(dials.bytes.equals(all)).toBe(true);
  });

  test.each(['dialler', 'acceptor'] as const)('a paused %s holds its writer up, and lets go of it', async (who) => {
    const two = await connected(new Noter(() => 60_000));
    const [reader, ears] = who === 'dialler' ? [two.dialler, two.dials] : [two.acceptor, two.accepts];
    const writer = who === 'dialler' ? two.acceptor : two.dialler;
    reader.pause();
    let done = 0;
    const part = noise(250_000);
    for (let i = 0; i < 120; i++) writer.write(part, () => done++);
    await world.rest();
    expect(ears.chunks.length).toBe(0);
    expect(done).toBeLessThan(120);
    reader.resume();
    await world.until(() => done === 120 && ears.bytes.length === 120 * part.length);
    expect(ears.bytes.equals(Buffer.concat(Array.from({ length: 120 }, () => part)))).toBe(true);
  });

  test('what was written before the end arrives, then both are closed', async () => {
    const { dialler, dials, accepts } = await connected();
    dialler.write(noise(300_000), () => undefined);
    dialler.end();
    await world.until(() => dials.isClosed && accepts.isClosed);
    expect(accepts.bytes.equals(noise(300_000))).toBe(true);
    expect(dials.told).toEqual(['connected', 'finished', 'closed: closed by the peer']);
    expect(accepts.told.at(-1)).toBe('closed: closed by the peer');
    expect(accepts.told.filter((line) => line.startsWith('closed')).length).toBe(1);
  });

  test('whose end has left hears what the other had written by then', async () => {
    const dials = new Noter(() => 10_000);
    const { dialler, acceptor } = await connected(dials);
    acceptor.write(noise(400_000), () => undefined);
    dialler.end();
    await world.until(() => dials.isClosed);
    expect(dials.bytes.equals(noise(400_000))).toBe(true);
  });

  test('whoever destroys hears nothing more, not even of what it wrote; the other is closed once', async () => {
    const { dialler, acceptor, dials, accepts } = await connected();
    let done = 0;
    acceptor.pause();
    const part = noise(250_000);
    for (let i = 0; i < 100; i++) dialler.write(part, () => done++);
    acceptor.write(Buffer.from('too late'), () => undefined);
    dialler.destroy();
    const before = done;
    acceptor.resume();
    await world.until(() => accepts.isClosed);
    await world.rest();
    expect([done, dials.told, dials.bytes.length]).toEqual([before, ['connected'], 0]);
    expect(accepts.told.filter((line) => line.startsWith('closed')).length).toBe(1);
  });

  test('destroyed from within what it is told, it is told nothing more', async () => {
    const { dialler, acceptor, dials } = await connected(new Noter(() => 100));
    dials.onReceived = () => dialler.destroy();
    acceptor.write(noise(5_000), () => undefined);
    await world.until(() => dials.chunks.length > 0);
    await world.rest();
    expect([dials.chunks.length, dials.told]).toEqual([1, ['connected']]);
  });

  test('where nobody listens a connection is closed without having been one', async () => {
    const { listener } = await connected();
    const { port } = listener;
    void listener.close();
    await world.rest();
    const ears = new Noter();
    world.client.dial({ host: world.host, port }, ears);
    await world.until(() => ears.isClosed);
    expect(ears.told.length).toBe(1);
    expect(ears.told[0]).toMatch(/^closed: connect ECONNREFUSED/);
  });

  test('connections that were made outlive the door, and close waits for them', async () => {
    const { dialler, acceptor, accepts, listener } = await connected();
    let shut = false;
    void listener.close().then(() => { shut = true; }); // biome-ignore format: one line
    dialler.write(Buffer.from('still here'), () => undefined);
    await world.until(() => accepts.bytes.length > 0);
    expect(shut).toBe(false);
    dialler.destroy();
    acceptor.destroy();
    await world.until(() => shut);
  });

  test.each(['refuses', 'does nothing'])('a door that %s: the dialler is closed', async (how) => {
    let remote: string | undefined;
    const accept = (incoming: Incoming): void => {
      remote = incoming.remote.host;
      if (how === 'refuses') incoming.refuse();
    };
    const { port } = await listen({ accept });
    const ears = new Noter();
    world.client.dial({ host: world.host, port }, ears);
    await world.until(() => ears.isClosed);
    expect(remote).toBe(world.host === '127.0.0.1' ? '127.0.0.1' : 'h2');
  });

  test('who may not connect is cut off, and nobody hears of him; the next one may', async () => {
    const asked: string[] = [];
    const accepted: Incoming[] = [];
    const letsIn = (address: string): boolean => asked.push(address) > 1;
    const accept = (incoming: Incoming): void => {
      accepted.push(incoming);
      incoming.take(new Noter());
    };
    const { port } = await listen({ accept, letsIn });
    const ears = new Noter();
    world.client.dial({ host: world.host, port }, ears);
    await world.until(() => ears.isClosed);
    expect(accepted).toEqual([]);
    const dialler = world.client.dial({ host: world.host, port }, new Noter());
    await world.until(() => accepted.length === 1);
    expect(new Set(asked)).toEqual(new Set([world.host === '127.0.0.1' ? '127.0.0.1' : 'h2']));
    dialler.destroy();
  });

  test('a port that is taken is refused, by its code', async () => {
    const { port } = await listen({});
    const door = { ...nothing, accept: () => undefined };
    await expect(world.server.listen({ host: world.host, port }, door)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

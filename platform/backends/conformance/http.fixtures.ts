/**
 * What every backend does that speaks HTTP, as it is opened and wrapped in the product: a server that asks for less, that
 * hangs or breaks off, proxies, own authorities, limits. Its calls go through a front that stands before the kind's server.
 */

import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { prng } from '../../../core/prng.ts';
import { realClock } from '../../net/clock.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import type { LimitedOptions } from '../around/limited.ts';
import { wrapped } from '../around/wrapped.ts';
import type { Backend } from '../backend.ts';
import { registryLayout } from '../layout.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { certificate, proxyServer } from '../web/web.fixtures.ts';
import { Front } from './front.fixtures.ts';

/** How a backend is opened: at that address instead of its server's, `http://…` or `https://…`. */
export type HttpAt = {
  readonly base: string;
  readonly env: Readonly<Record<string, string>>;
  readonly ca: string | undefined;
  readonly stallMs: number;
};

export type HttpKeeping = {
  /** Of the kind's server, `http://host:port`. Names in its answers must lead through `base`, or to itself. */
  readonly server: () => string;
  readonly make: (at: HttpAt) => Promise<Backend>;
  /** The key of a blob; without one, that of a rule without `keys`. */
  readonly keyOf?: (digest: Digest) => string;
  /** Puts a blob there by another way than ours: needed where the backend writes none. */
  readonly fill?: (bytes: Buffer) => Promise<void>;
  /** false: the kind knows no TLS, and so neither authorities nor proxies for it. */
  readonly secure?: boolean;
};

type Opened = Pick<HttpAt, 'env' | 'ca' | 'stallMs'> & { readonly limits: Partial<LimitedOptions['limits']> };

const quietMs = 1_000;
const name = 'storage.test';

export class HttpBench implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly front: Front;
  readonly keeping: HttpKeeping;

  constructor(keeping: HttpKeeping) {
    this.keeping = keeping;
    this.front = new Front(keeping.server());
  }

  get stack(): AsyncDisposableStack {
    return this.#stack;
  }

  /** As the product has it, at `base`; without one, behind the front without TLS. */
  async open({ env = {}, ca, stallMs = 10_000, limits = {} }: Partial<Opened> = {}, base?: string): Promise<Backend> {
    const at = base ?? (await this.front.plain(this.#stack));
    const bare = await this.keeping.make({ base: at, env, ca, stallMs });
    return this.#stack.use(
      wrapped(bare, {
        ...{ clock: realClock, prng: prng(1), metrics: new Metrics(), stallMs, sharers: () => 1 },
        limits: { reads: 16, writes: 8, of: 'origin', ...limits },
      }),
    );
  }

  /** A blob that is there, whoever put it. */
  async blob(backend: Backend, bytes: Buffer): Promise<string> {
    const { keyOf = registryLayout.blobKey, fill } = this.keeping;
    const source = sourceOf(bytes);
    const key = keyOf(source.digest);
    await (fill === undefined ? backend.write(key, source, never) : fill(bytes));
    return key;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

const whole = (backend: Backend, key: string, { length }: Buffer): Promise<Buffer> =>
  bytesOf(backend.read(key, { start: 0, end: length }, never));

export function httpConformance(keeping: HttpKeeping): void {
  const writes = keeping.fill === undefined;
  // Most of their time they wait.
  describe.concurrent('over HTTP', () => {
    refusalsConformance(keeping, writes);
    breaksConformance(keeping);
    limitsConformance(keeping, writes);
    if (keeping.secure !== false) waysConformance(keeping);
  });
}

function refusalsConformance(keeping: HttpKeeping, writes: boolean): void {
  const calls: Readonly<Record<string, (backend: Backend, key: string, bench: HttpBench) => Promise<unknown>>> = {
    stat: (backend, key) => backend.stat(key, never),
    read: (backend, key) => bytesOf(backend.read(key, { start: 0, end: 1000 }, never)),
    ...(writes && {
      write: (backend: Backend, _: string, bench: HttpBench) => bench.blob(backend, randomBytes(1000)),
    }),
  };
  const all = [429, 503].flatMap((status) => Object.entries(calls).map(([call, act]) => ({ status, call, act })));

  test.each(all)('a $call that is answered $status is made again once Retry-After is over', async ({ status, act }) => {
    await using bench = new HttpBench(keeping);
    const backend = await bench.open();
    const key = await bench.blob(backend, randomBytes(1000));
    await backend.stat(key, never);
    const before = bench.front.asked.length;
    let left = 1;
    bench.front.fault = () =>
      left-- > 0 ? { status, headers: { 'retry-after': `${quietMs / 1000}` }, body: 'busy' } : undefined;
    await act(backend, key, bench);
    const [refused, next] = bench.front.asked.slice(before);
    expect(refused?.refused).toBe(true);
    expect((next?.atMs ?? 0) - (refused?.atMs ?? 0)).toBeGreaterThanOrEqual(quietMs - 1);
  });

  test('one that goes on asking for less is told as throttled, with what it asks for', async () => {
    await using bench = new HttpBench(keeping);
    const base = await bench.front.plain(bench.stack);
    await using bare = await keeping.make({ base, env: {}, ca: undefined, stallMs: 5_000 });
    const key = await bench.blob(bare, randomBytes(1000));
    bench.front.fault = () => ({ status: 429, headers: { 'retry-after': '7' } });
    for (const call of [bare.stat(key, never), bytesOf(bare.read(key, { start: 0, end: 9 }, never))])
      await expect(call).rejects.toMatchObject({
        ...{ name: 'BackendError', why: 'throttled', afterMs: 7000 },
        message: expect.stringContaining(`${bare.name}: `),
      });
  });
}

function breaksConformance(keeping: HttpKeeping): void {
  test('a read whose connection breaks goes on where it stopped', async () => {
    await using bench = new HttpBench(keeping);
    const backend = await bench.open();
    const bytes = randomBytes(3_000_000);
    const key = await bench.blob(backend, bytes);
    const found = await backend.stat(key, never);
    let left = 2;
    bench.front.fault = ({ method }) => (method === 'GET' && left-- > 0 ? { cut: 700_000 } : undefined);
    const read = backend.read(key, { start: 0, end: bytes.length, version: found?.version }, never);
    expect(bytes.equals(await bytesOf(read))).toBe(true);
    expect(left).toBeLessThan(1);
  });

  test('a server that hangs has stalled, and keeps no connection', async () => {
    await using bench = new HttpBench(keeping);
    const backend = await bench.open({ stallMs: 1_000 });
    const key = await bench.blob(backend, randomBytes(1000));
    bench.front.fault = () => 'hang';
    const signal = AbortSignal.timeout(20_000);
    await expect(bytesOf(backend.read(key, { start: 0, end: 9 }, signal))).rejects.toMatchObject({ why: 'stalled' });
    await expect(backend.stat(key, signal)).rejects.toMatchObject({ why: 'stalled' });
    bench.front.fault = () => undefined;
    expect(await backend.stat(key, never)).toMatchObject({ size: 1000 });
  });

  test('a page of HTML in the place of a blob is an error, and no bytes of it', async () => {
    await using bench = new HttpBench(keeping);
    const backend = await bench.open();
    const bytes = randomBytes(100_000);
    const key = await bench.blob(backend, bytes);
    bench.front.fault = ({ method }) => (method === 'GET' ? { status: 200 } : undefined);
    await expect(whole(backend, key, bytes)).rejects.toMatchObject({
      name: 'BackendError',
      message: expect.stringContaining(`${backend.name}: `),
    });
  });
}

function limitsConformance(keeping: HttpKeeping, writes: boolean): void {
  test('no more is asked at once than the limits say', async () => {
    await using bench = new HttpBench(keeping);
    const backend = await bench.open({ limits: { reads: 2, writes: 1 } });
    const all = Array.from({ length: 8 }, () => randomBytes(2000));
    const keys = await Promise.all(all.map((bytes) => bench.blob(backend, bytes)));
    if (writes) expect(bench.front.atOnce).toBe(1);
    bench.front.atOnce = 0;
    const read = await Promise.all(all.map((bytes, i) => whole(backend, keys[i] ?? '', bytes)));
    expect(Buffer.concat(read).equals(Buffer.concat(all))).toBe(true);
    expect(bench.front.atOnce).toBe(2);
  });

  test('bytes come, and go, no faster than the limits say, and a pause for that is no stall', async () => {
    await using bench = new HttpBench(keeping);
    const rate = 400_000;
    const backend = await bench.open({ stallMs: 1_000, limits: { up: rate, down: rate } });
    const bytes = randomBytes(900_000);
    // What a limit lets through at once beyond its rate, and a timer that is early.
    const leastMs = (bytes.length / rate) * 1000 - 150;
    let begunMs = performance.now();
    const key = await bench.blob(backend, bytes);
    if (writes) expect(performance.now() - begunMs).toBeGreaterThan(leastMs);
    begunMs = performance.now();
    expect(bytes.equals(await whole(backend, key, bytes))).toBe(true);
    expect(performance.now() - begunMs).toBeGreaterThan(leastMs);
  });
}

function waysConformance(keeping: HttpKeeping): void {
  let dir: string;
  let tls: { readonly cert: Buffer; readonly key: Buffer; readonly ca: string };
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'shoal-http-kind-'));
    const made = certificate(dir, 'own', `DNS:localhost,DNS:${name},IP:127.0.0.1`);
    tls = { cert: readFileSync(made.cert), key: readFileSync(made.key), ca: made.cert };
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  test('a certificate of an own authority is taken with `ca`, and refused with a remedy without', async () => {
    await using bench = new HttpBench(keeping);
    const base = await bench.front.secure(bench.stack, tls);
    const bytes = randomBytes(1000);
    const right = await bench.open({ ca: tls.ca }, base);
    const key = await bench.blob(right, bytes);
    expect(bytes.equals(await whole(right, key, bytes))).toBe(true);
    const wrong = await bench.open({}, base);
    const told = { name: 'BackendError', why: 'unavailable', message: expect.stringMatching(/`ca`/) };
    await expect(wrong.stat(key, never)).rejects.toMatchObject(told);
    await expect(keeping.make({ base, env: {}, ca: join(dir, 'nowhere.pem'), stallMs: 1_000 })).rejects.toThrow(
      /nowhere\.pem/,
    );
  });

  test('HTTPS_PROXY is gone through, but for NO_PROXY, and only as the environment that was given says', async () => {
    await using bench = new HttpBench(keeping);
    const { port } = new URL(await bench.front.secure(bench.stack, tls));
    const proxy = await proxyServer(bench.stack);
    const bytes = randomBytes(1000);
    // Nobody resolves that name here: only the proxy leads to it.
    const env = { HTTPS_PROXY: proxy.url };
    const through = await bench.open({ ca: tls.ca, env }, `https://${name}:${port}`);
    const key = await bench.blob(through, bytes);
    expect(bytes.equals(await whole(through, key, bytes))).toBe(true);
    expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT ${name}:${port}`]));
    const { length } = proxy.asked;
    const past = { ...env, NO_PROXY: 'localhost' };
    const around = await bench.open({ ca: tls.ca, env: past }, `https://localhost:${port}`);
    expect(bytes.equals(await whole(around, key, bytes))).toBe(true);
    expect(proxy.asked.length).toBe(length);
  });
}

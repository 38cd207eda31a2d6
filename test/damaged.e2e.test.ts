/**
 * Blobs whose files at an origin were damaged, as clients meet them: all roles as real processes, over HTTP.
 * The origins' disks are ours to spoil.
 */

import { createHash, randomBytes } from 'node:crypto';
import { closeSync, openSync, readdirSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Digest, digestHex, digestOf } from '../core/digest.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const MiB = 1024 * 1024;
const repo = 'damaged/app';
const ephemeral = { host: '127.0.0.1', port: 0 };
/** A user's patience: far below the 60 s that a stalled blob is waited for. */
const secondsMs = 12_000;

class Site {
  readonly cluster: Cluster;
  origins: Process[] = [];
  tracker!: Process;
  proxy!: Process;
  agents: Process[] = [];
  readonly #startOrigin: (() => Promise<Process>)[] = [];

  private constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  static async start(originCount: number, agentCount: number): Promise<Site> {
    const site = new Site(await Cluster.make());
    const ports = await Promise.all(Array.from({ length: 1 + 2 * originCount }, freePort));
    const trackers = [`http://127.0.0.1:${ports[0]}`];
    const at = (no: number): string => `http://127.0.0.1:${ports[1 + no]}`;
    const urls = Array.from({ length: originCount }, (_, no) => at(no));
    site.tracker = await site.#start('tracker', 'tracker', {
      listen: { ...ephemeral, port: ports[0] },
      origins: urls,
    });
    const index = await site.#start('index', 'index', { listen: ephemeral, data: site.cluster.dataOf('index') });
    for (let no = 0; no < originCount; no++) {
      const settings = {
        listen: { ...ephemeral, port: ports[1 + no] },
        peer: { ...ephemeral, port: ports[1 + originCount + no] },
        data: site.cluster.dataOf(`origin-${no}`),
        trackers,
        origins: urls,
        self: urls[no],
      };
      site.#startOrigin.push(() => site.#start('origin', `origin-${no}`, settings));
    }
    site.origins = await Promise.all(site.#startOrigin.map((start) => start()));
    site.proxy = await site.#start('proxy', 'proxy', { listen: ephemeral, index: [index.url('api')], origins: urls });
    for (let no = 0; no < agentCount; no++) {
      const own = { listen: ephemeral, admin: ephemeral, peer: ephemeral, data: site.cluster.dataOf(`agent-${no}`) };
      const settings = { ...own, trackers: [site.tracker.url('api')], index: [index.url('api')] };
      site.agents.push(await site.#start('agent', `agent-${no}`, settings));
    }
    return site;
  }

  #start(role: string, name: string, settings: object): Promise<Process> {
    return this.cluster.start(entryUrl(`../${role}/main.ts`, import.meta.url), name, { role, ...settings });
  }

  async restart(no: number): Promise<void> {
    await this.origins[no]?.stop('SIGKILL');
    this.origins[no] = (await this.#startOrigin[no]?.()) as Process;
  }

  /** The blob's file at an origin. */
  file(digest: Digest, no = 0): string {
    const dir = join(this.cluster.dataOf(`origin-${no}`), 'blobs/sha256', digestHex(digest).slice(0, 2));
    const name = readdirSync(dir).find((one) => one.startsWith(`${digestHex(digest)}.`) && !one.endsWith('.part'));
    return join(dir, name ?? 'none');
  }

  head(digest: Digest, at = this.proxy, in_ = repo): Promise<number> {
    return fetch(`${at.url('registry')}/v2/${in_}/blobs/${digest}`, { method: 'HEAD' }).then((r) => r.status);
  }

  /** Waits until that origin alone serves the blob, right to the last byte. */
  async wholeAt(no: number, digest: Digest): Promise<void> {
    const serves = async (): Promise<void> => {
      const reply = await fetch(`${this.origins[no]?.url('api')}/v1/blobs/${digest}`);
      const bytes = Buffer.from(await reply.arrayBuffer());
      expect([reply.status, digestOfBytes(bytes)]).toEqual([200, digest]);
    };
    await vi.waitFor(serves, { timeout: 60_000, interval: 200 });
  }

  /** The status, and whether the body is the blob; an error where it was cut. */
  async get(digest: Digest, at = this.proxy): Promise<[number, boolean | string]> {
    const reply = await fetch(`${at.url('registry')}/v2/${repo}/blobs/${digest}`);
    if (reply.status !== 200)
      return [reply.status, ((await reply.json()) as { errors: { code: string }[] }).errors[0]?.code ?? ''];
    try {
      return [200, digestOfBytes(Buffer.from(await reply.arrayBuffer())) === digest];
    } catch {
      return [200, 'cut'];
    }
  }

  async push(bytes: Uint8Array): Promise<number> {
    const begun = await fetch(`${this.proxy.url('registry')}/v2/${repo}/blobs/uploads/`, { method: 'POST' });
    const location = new URL(begun.headers.get('location') as string, this.proxy.url('registry'));
    location.searchParams.set('digest', digestOfBytes(bytes));
    return (await fetch(location, { method: 'PUT', body: bytes.slice() })).status;
  }

  /** As clients push: what is there is not sent. 'skipped' where nothing was. */
  async pushAsClientsDo(bytes: Uint8Array): Promise<number | 'skipped'> {
    const status = await this.head(digestOfBytes(bytes));
    if (status === 200) return 'skipped';
    return status === 404 ? await this.push(bytes) : status;
  }

  mount(digest: Digest, to: string): Promise<number> {
    const url = `${this.proxy.url('registry')}/v2/${to}/blobs/uploads/?mount=${digest}&from=${repo}`;
    return fetch(url, { method: 'POST' }).then((r) => r.status);
  }
}

const digestOfBytes = (bytes: Uint8Array): Digest =>
  digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));

/** Writes into the file, its size stays. */
function overwrite(path: string, position: number, bytes: Uint8Array): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, position);
  closeSync(fd);
}
const flip = (path: string, position: number): void => overwrite(path, position, Buffer.from('!damaged!'));

describe('a single origin', () => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.start(1, 2);
  }, 60_000);
  afterAll(() => site?.cluster[Symbol.asyncDispose]());

  test.each<[string, (path: string) => void]>([
    ['truncated', (path) => truncateSync(path, 1_000)],
    ['removed', (path) => rmSync(path)],
    ['made of zeros', (path) => overwrite(path, 0, Buffer.alloc(statSync(path).size))],
  ])(
    'a blob whose file was %s is not said to be there, and pushing it as clients do brings it back',
    async (_, spoil) => {
      const bytes = randomBytes(9 * MiB);
      const digest = digestOfBytes(bytes);
      expect(await site.push(bytes)).toBe(201);
      expect(await site.pushAsClientsDo(bytes)).toBe('skipped');
      expect(await site.mount(digest, 'damaged/other')).toBe(201);
      spoil(site.file(digest));
      expect(await site.mount(digest, 'damaged/third')).toBe(202);
      expect(await site.head(digest)).toBe(404);
      expect(await site.get(digest)).toEqual([404, 'BLOB_UNKNOWN']);
      expect(await site.pushAsClientsDo(bytes)).toBe(201);
      expect(await site.get(digest)).toEqual([200, true]);
      spoil(site.file(digest));
      expect(await site.push(bytes)).toBe(201);
      expect(await site.get(digest)).toEqual([200, true]);
      await site.restart(0);
      // Others may hold it for down a moment longer.
      await vi.waitFor(async () => expect(await site.get(digest)).toEqual([200, true]), {
        timeout: 20_000,
        interval: 200,
      });
    },
    60_000,
  );

  test('one flipped bit: who reads is cut, then HEAD is 404, and the push that it asks for mends it, for agents too', async () => {
    const bytes = randomBytes(20 * MiB);
    const digest = digestOfBytes(bytes);
    await site.push(bytes);
    flip(site.file(digest), 9 * MiB);
    expect(await site.get(digest)).toEqual([200, 'cut']);
    expect(await site.head(digest)).toBe(404);

    const [one, two] = site.agents as [Process, Process];
    const beganMs = performance.now();
    const waited = await Promise.all([site.get(digest, one), site.get(digest, two)]);
    expect(performance.now() - beganMs).toBeLessThan(secondsMs);
    // Whether an agent has begun to answer before it hears that the rest is nowhere.
    for (const answer of waited)
      expect([
        [404, 'BLOB_UNKNOWN'],
        [200, 'cut'],
      ]).toContainEqual(answer);

    expect(await site.pushAsClientsDo(bytes)).toBe(201);
    await vi.waitFor(async () => expect(await site.get(digest, one)).toEqual([200, true]), { timeout: 10_000 });
    expect(await site.get(digest, two)).toEqual([200, true]);
  }, 60_000);

  test('damage that is met in the middle of a pull ends the wait within seconds, and is a few lines in all logs', async () => {
    const bytes = randomBytes(20 * MiB);
    const digest = digestOfBytes(bytes);
    await site.push(bytes);
    flip(site.file(digest), 9 * MiB);
    const [one, two] = site.agents as [Process, Process];
    const beganMs = performance.now();
    const answers = await Promise.all([site.get(digest, one), site.get(digest, two)]);
    expect(performance.now() - beganMs).toBeLessThan(secondsMs);
    expect(answers).toEqual([
      [200, 'cut'],
      [200, 'cut'],
    ]);
    for (let i = 0; i < 10; i++) await site.get(digest, i % 2 === 0 ? one : two);
    expect(await site.pushAsClientsDo(bytes)).toBe(201);
    await vi.waitFor(async () => expect(await site.get(digest, one)).toEqual([200, true]), { timeout: 10_000 });
    await Promise.all([...site.origins, site.proxy].map((process) => process.stop()));
    const lines = (await site.cluster.log('origin-0')).split('\n').filter((line) => line.includes(digest));
    const loud = lines.filter((line) => !line.includes('"level":"debug"') && !line.includes('"msg":"request"'));
    expect(loud.length, loud.join('\n')).toBeLessThan(12);
  }, 90_000);
});

describe('two origins', () => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.start(2, 1);
  }, 60_000);
  afterAll(() => site?.cluster[Symbol.asyncDispose]());

  test.each<[string, (path: string) => void]>([
    ['truncated', (path) => truncateSync(path, 3 * MiB)],
    ['removed', (path) => rmSync(path)],
    ['made of zeros', (path) => overwrite(path, 0, Buffer.alloc(statSync(path).size))],
  ])(
    'one whose file was %s gets the blob back from the other, while readers notice nothing',
    async (_, spoil) => {
      const bytes = randomBytes(8 * MiB);
      const digest = digestOfBytes(bytes);
      expect(await site.push(bytes)).toBe(201);
      for (const no of [0, 1]) {
        spoil(site.file(digest, no));
        expect(await site.head(digest)).toBe(200);
        expect(await site.get(digest)).toEqual([200, true]);
        expect(await site.get(digest, site.agents[0])).toEqual([200, true]);
        await site.wholeAt(no, digest);
      }
    },
    200_000,
  );

  test('a start finds what was damaged or removed meanwhile, and gets it back', async () => {
    const [cut, gone] = [randomBytes(5 * MiB), randomBytes(5 * MiB)];
    for (const bytes of [cut, gone]) await site.push(bytes);
    await site.origins[0]?.stop();
    const paths = [cut, gone].map((bytes) => site.file(digestOfBytes(bytes)));
    truncateSync(paths[0] as string, MiB);
    rmSync(paths[1] as string);
    await site.restart(0);
    for (const bytes of [cut, gone]) {
      const digest = digestOfBytes(bytes);
      await vi.waitFor(() => expect(statSync(site.file(digest)).size).toBeGreaterThan(bytes.length), {
        timeout: 15_000,
        interval: 200,
      });
      await site.wholeAt(0, digest);
    }
  }, 60_000);

  test('a damaged blob is 503, not 404, while the other origin cannot be asked', async () => {
    const bytes = randomBytes(4 * MiB);
    const digest = digestOfBytes(bytes);
    await site.push(bytes);
    await site.origins[1]?.stop('SIGKILL');
    truncateSync(site.file(digest), 1_000);
    expect(await site.head(digest)).toBe(503);
    await site.restart(1);
    await vi.waitFor(async () => expect(await site.head(digest)).toBe(200), { timeout: 15_000, interval: 300 });
  }, 60_000);

  test('an origin gets back what it lost without any tracker', async () => {
    const bytes = randomBytes(5 * MiB);
    const digest = digestOfBytes(bytes);
    await site.push(bytes);
    await site.wholeAt(0, digest);
    await site.tracker.stop('SIGKILL');
    rmSync(site.file(digest));
    const asked = await fetch(`${site.origins[0]?.url('api')}/v1/blobs/${digest}/info`);
    expect([asked.status, await asked.text()]).toEqual([404, expect.stringContaining('BLOB_UNKNOWN')]);
    await vi.waitFor(() => expect(statSync(site.file(digest)).size).toBeGreaterThan(bytes.length), {
      timeout: 20_000,
      interval: 200,
    });
    await site.wholeAt(0, digest);
  }, 60_000);
});

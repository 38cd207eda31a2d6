/** Clients that are slow, that pause, and that leave what they began, with curl and skopeo. */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../cluster.ts';
import { writeMultiArchLayout } from '../image.ts';
import { run, temporary } from '../processes.ts';
import { need } from '../programs.ts';

const stack = new AsyncDisposableStack();
/** More than what kernels and curl hold on the way. */
const bytes = randomBytes(200 << 20);
const digest = digestOf(bytes);
/** Past every clock that once ran for 60 s. */
const steadyS = 100;
const pauseMs = 80_000;
/** What curl says where its own --max-time ended it: the server did not. */
const tookTooLong = 28;
let cluster: Cluster;
let dir = '';

function digestOf(content: Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

/** curl's exit code. `during` is told its process. */
function curl(args: string[], during?: (pid: number) => Promise<void>): Promise<number | null> {
  const child = spawn(need('curl'), ['--silent', '--show-error', ...args], { stdio: 'ignore' });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  stack.defer(() => void child.kill('SIGKILL'));
  return Promise.all([ended, during?.(child.pid as number)]).then(([code]) => code);
}

const registries = (): (readonly [name: string, at: string])[] => [
  ['proxy', cluster.proxy],
  ['agent', cluster.agents[0] ?? ''],
];
const blobAt = (at: string): string => `http://${at}/v2/slow/b/blobs/${digest}`;

beforeAll(async () => {
  dir = await temporary(stack, 'slow');
  cluster = await startCluster(stack, 1);
  const uploads = `http://${cluster.proxy}/v2/slow/b/blobs/uploads/`;
  const pushed = await fetch(`${uploads}?digest=${digest}`, { method: 'POST', body: bytes });
  expect(pushed.status).toBe(201);
});
afterAll(() => stack.disposeAsync());

test('who reads or pushes at 60 kB/s goes on for as long as it likes; who pauses for 80 s finds the rest', async () => {
  const steady = registries().map(async ([name, at]) => {
    const to = join(dir, `${name}.part`);
    expect(await curl(['--limit-rate', '60k', '--max-time', `${steadyS}`, '-o', to, blobAt(at)])).toBe(tookTooLong);
    const got = await readFile(to);
    expect(got.length).toBeGreaterThan(40_000 * steadyS);
    expect(got.equals(bytes.subarray(0, got.length))).toBe(true);
  });
  const paused = registries().map(async ([name, at]) => {
    const to = join(dir, `${name}.whole`);
    const code = await curl(['--fail', '-o', to, '--limit-rate', '40M', blobAt(at)], async (pid) => {
      while ((await stat(to).catch(() => undefined))?.size === undefined) await sleep(20);
      process.kill(pid, 'SIGSTOP');
      await sleep(pauseMs);
      expect((await stat(to)).size).toBeLessThan(bytes.length);
      process.kill(pid, 'SIGCONT');
    });
    expect([name, code, digestOf(await readFile(to))]).toEqual([name, 0, digest]);
  });
  const slowPush = (async () => {
    const small = bytes.subarray(0, 60_000 * steadyS);
    const file = await open(join(dir, 'small'), 'w');
    await file.writeFile(small);
    await file.close();
    const begun = await fetch(`http://${cluster.proxy}/v2/slow/p/blobs/uploads/`, { method: 'POST' });
    const to = `http://${cluster.proxy}${begun.headers.get('location')}?digest=${digestOf(small)}`;
    expect(await curl(['--fail', '--limit-rate', '60k', '-T', join(dir, 'small'), to])).toBe(0);
    const read = await fetch(`http://${cluster.proxy}/v2/slow/p/blobs/${digestOf(small)}`);
    expect(Buffer.from(await read.arrayBuffer()).equals(small)).toBe(true);
  })();
  await Promise.all([...steady, ...paused, slowPush]);
});

test('260 uploads that curl began and left keep skopeo from nothing', async () => {
  const uploads = `http://${cluster.proxy}/v2/left/u/blobs/uploads/`;
  const left = await run('curl', ['-s', '-X', 'POST', '-w', '%{http_code}\n', ...Array<string>(260).fill(uploads)]);
  expect(new Set(left.trim().split('\n'))).toEqual(new Set(['202']));
  await writeMultiArchLayout(join(dir, 'multi'), ['amd64', 'arm64']);
  const begun = performance.now();
  const options = ['--insecure-policy', '--dest-tls-verify=false', '--all'];
  await run('skopeo', ['copy', ...options, `oci:${join(dir, 'multi')}`, `docker://${cluster.proxy}/left/image:1`]);
  // A client that is told 429 waits and tries again.
  expect(performance.now() - begun).toBeLessThan(30_000);
});

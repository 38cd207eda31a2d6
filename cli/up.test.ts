/** `shoal up`, end to end: what it prints, restart of a part that died, files through the shell, an orderly end. */

import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type ClusterPorts, freeBase, portInUse, portsOf } from './cluster/ports.ts';

const executable = fileURLToPath(new URL('../bin/shoal.js', import.meta.url));
const limitMs = 60_000;

let dir: string;
let base: number;
let ports: ClusterPorts;
let cluster: ChildProcess;
let said = '';

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-up-'));
  base = await freeBase(2, Math.random);
  ports = portsOf(base, 2);
  cluster = up();
  cluster.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  cluster.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await vi.waitFor(() => expect(said).toContain('Ctrl-C stops everything'), { timeout: limitMs, interval: 100 });
}, limitMs);

afterAll(async () => {
  if (cluster.exitCode === null) {
    cluster.kill('SIGTERM');
    await once(cluster, 'exit');
  }
  rmSync(dir, { recursive: true });
}, limitMs);

function up(): ChildProcess {
  const args = [executable, 'up', '--dir', join(dir, 'cluster'), '--base-port', String(base)];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function shoal(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [executable, ...args], { stdio: ['ignore', 'pipe', 'pipe'], cwd: dir });
  const end = once(child, 'exit') as Promise<[number | null]>;
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), end]);
  return { code, out, err };
}

const proxy = (): string[] => ['--proxy', `http://127.0.0.1:${ports.proxy}`];
const agent = (i: number): string[] => ['--agent', `http://127.0.0.1:${ports.agents[i]?.registry}`];
const pidOf = (part: string): number =>
  Number(new RegExp(`${part} +ready.*\\(pid (\\d+)\\)(?![\\s\\S]*${part} +ready)`).exec(said)?.[1]);

test('prints every URL and what to paste; every part answers on both loopback addresses', {
  timeout: limitMs,
}, async () => {
  expect(said).toContain(`docker push localhost:${ports.proxy}/library/app:1`);
  expect(said).toContain(`docker pull localhost:${ports.agents[0]?.registry}/library/app:1`);
  expect(said).toContain(`export SHOAL_PROXY=http://127.0.0.1:${ports.proxy} SHOAL_ORIGIN=`);
  const serving = [
    ports.proxy,
    ports.origin,
    ports.tracker,
    ...ports.indexes,
    ...ports.agents.flatMap((a) => [a.registry, a.admin]),
  ];
  for (const port of serving) {
    expect(said).toContain(`http://127.0.0.1:${port}`);
    expect((await fetch(`http://127.0.0.1:${port}/health`)).status, `${port}`).toBe(200);
    expect((await fetch(`http://[::1]:${port}/readiness`)).status, `${port}`).toBe(200);
    const metrics = await fetch(`http://127.0.0.1:${port}/metrics`);
    // Where runtimes pull from, metrics are not told.
    if (ports.agents.some(({ registry }) => registry === port)) expect(metrics.status, `${port}`).toBe(404);
    else expect(await metrics.text()).toContain('process_resident_memory_bytes');
  }
});

test('what it configures its parts with may have passwords, and is its owner’s alone', () => {
  const configs = join(dir, 'cluster', 'config');
  const modes = readdirSync(configs).map((name) => statSync(join(configs, name)).mode & 0o777);
  expect(modes.length).toBeGreaterThan(5);
  expect(new Set(modes)).toEqual(new Set([0o600]));
});

test('put, ls, get through both agents, rm', { timeout: limitMs }, async () => {
  const bytes = randomBytes(3_000_000);
  writeFileSync(join(dir, 'model.bin'), bytes);
  const put = await shoal('put', 'model.bin', '--repo', 'library/model', '--tag', 'v1', ...proxy());
  expect(put).toMatchObject({ code: 0 });
  const digest = put.out.slice(0, 71);
  expect((await shoal('ls', ...proxy())).out).toBe('library/model\n');
  expect((await shoal('ls', 'library/model', ...proxy())).out).toBe('library/model:v1\n');
  expect(await shoal('get', 'library/model:v1', '-o', 'one.bin', ...agent(0))).toMatchObject({ code: 0 });
  expect(await shoal('get', digest, '-o', 'two.bin', ...agent(1))).toMatchObject({ code: 0 });
  for (const name of ['one.bin', 'two.bin']) expect(readFileSync(join(dir, name)).equals(bytes), name).toBe(true);
  expect(await shoal('rm', 'library/model:v1', ...proxy())).toMatchObject({ code: 0 });
  const gone = await shoal('get', 'library/model:v1', '-o', 'x', ...agent(0));
  expect(gone.code).toBe(1);
  expect(gone.err).toContain('MANIFEST_UNKNOWN');
});

test('a part that is killed is started again, one line an event', { timeout: limitMs }, async () => {
  const before = pidOf('origin');
  process.kill(before, 'SIGKILL');
  await expect
    .poll(() => said, { timeout: limitMs })
    .toMatch(/origin +died \(signal SIGKILL\): starting again in 0\.20 s\norigin +ready again/);
  expect(pidOf('origin')).not.toBe(before);
});

test('a second up on the same directory is refused; SIGINT ends everything in order', {
  timeout: limitMs,
}, async () => {
  const second = await shoal(
    'up',
    '--dir',
    join(dir, 'cluster'),
    '--base-port',
    String(await freeBase(2, Math.random)),
  );
  expect(second.code).toBe(2);
  expect(second.err).toContain(`is in use by process ${cluster.pid}`);
  cluster.kill('SIGINT');
  await once(cluster, 'exit');
  expect(cluster.exitCode).toBe(0);
  expect(said).toMatch(
    /stopping: transfers that are under way may finish; Ctrl-C again ends at once\n(.* stopped \(exit code 0\)\n){6}$/,
  );
  expect(await portInUse(ports)).toBeUndefined();
  expect(existsSync(join(dir, 'cluster', 'up.pid'))).toBe(false);
});

test.runIf(process.platform === 'linux')('a directory that cannot be made is one line', async () => {
  const base = String(await freeBase(2, Math.random));
  const { code, err } = await shoal('up', '--dir', '/proc/shoal', '--base-port', base);
  expect(code).toBe(2);
  expect(err).toBe('shoal: directory /proc/shoal cannot be created (ENOENT): choose another with --dir\n');
});

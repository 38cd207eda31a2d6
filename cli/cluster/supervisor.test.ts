import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freeBase, portInUse, portsOf, requireFree } from './ports.ts';
import { type PartEvent, PartFailed, type PartSpec } from './process.ts';
import { Supervisor } from './supervisor.ts';

/** A toy part. Its arguments: how it behaves, and a file that counts its starts. */
const TOY = `
const fs = require('node:fs');
const [how, file] = process.argv.slice(2);
fs.appendFileSync(file, 'started\\n');
console.log('hello from', how);
if (how === 'broken') { console.log('no such disk'); process.exit(2); }
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => { fs.appendFileSync(file, 'asked\\n'); if (how !== 'stubborn') process.exit(0); });
setInterval(() => {}, 1000);
if (how === 'slow') return;
if (how === 'probed') {
  const asked = [];
  require('node:http').createServer((request, response) => {
    asked.push(request.url);
    response.writeHead(asked.length < 3 ? 503 : 200).end('{"problems":["warming up"]}');
  }).listen(Number(process.argv[4]), '127.0.0.1', () => process.send({ ready: true }));
} else process.send({ ready: true });
`;

let dir: string;
let entry: URL;
let events: PartEvent[];
let running: Supervisor[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-sup-'));
  writeFileSync(join(dir, 'toy.cjs'), TOY);
  entry = pathToFileURL(join(dir, 'toy.cjs'));
  events = [];
  running = [];
});
afterEach(async () => {
  for (const supervisor of running) await supervisor.stop();
  rmSync(dir, { recursive: true });
});

function part(name: string, how: string, more: { args?: string[]; probe?: string } = {}): PartSpec {
  const args = [how, join(dir, name), ...(more.args ?? [])];
  return { name, entry, args, logFile: join(dir, `${name}.log`), probe: more.probe, execArgv: [] };
}

function supervise(waves: PartSpec[][], limits: { startMs?: number; stopMs?: number } = {}): Supervisor {
  const supervisor = new Supervisor({ waves, onEvent: (event) => events.push(event), ...limits });
  running.push(supervisor);
  return supervisor;
}

const alive = (pid: number | undefined): boolean => {
  try {
    process.kill(pid ?? 0, 0);
    return pid !== undefined;
  } catch {
    return false;
  }
};
const starts = (name: string): number => readFileSync(join(dir, name), 'utf8').split('started').length - 1;

test('starts all, restarts what was killed with a growing delay, stops wave by wave', async () => {
  const supervisor = supervise([[part('a', 'plain')], [part('b', 'plain')]]);
  await supervisor.start();
  expect(events.map((event) => event.kind)).toEqual(['ready', 'ready']);
  const first = supervisor.part('a').pid;
  supervisor.part('a').kill();
  await expect.poll(() => events.some((event) => event.kind === 'ready' && event.again)).toBe(true);
  supervisor.part('a').kill();
  await expect.poll(() => starts('a'), { timeout: 5000 }).toBe(3);
  expect(supervisor.part('a').pid).not.toBe(first);
  expect(events.flatMap((event) => (event.kind === 'died' ? [event.retryMs] : []))).toEqual([200, 400]);
  await supervisor.part('a').ready();
  const pids = supervisor.parts.map(({ pid }) => pid);
  expect(pids.every(alive)).toBe(true);
  await supervisor.stop();
  expect(pids.some(alive)).toBe(false);
  const stopped = events.filter((event) => event.kind === 'stopped').map((event) => event.part);
  expect(stopped).toEqual(['b', 'a']);
  expect(readFileSync(join(dir, 'a.log'), 'utf8').match(/hello/g)).toHaveLength(3);
});

test('ready is what /readiness says, not only the message', async () => {
  const base = await freeBase(1, Math.random);
  const supervisor = supervise([[part('a', 'probed', { args: [String(base)], probe: `http://127.0.0.1:${base}` })]]);
  await supervisor.start();
  expect(events[0]).toMatchObject({ kind: 'ready', part: 'a', again: false });
});

test('a part that cannot start: why, the end of its log, and nothing left running', async () => {
  const supervisor = supervise([[part('good', 'plain'), part('bad', 'broken')]]);
  const failure = await supervisor.start().then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(PartFailed);
  expect((failure as Error).message).toMatch(
    /^bad did not start: it ended: exit code 2\nlast lines of .*bad\.log:\n {2}hello from broken\n {2}no such disk$/,
  );
  expect(alive(supervisor.part('good').pid)).toBe(false);
});

test('a part that is not ready in time fails the start', async () => {
  const supervisor = supervise([[part('a', 'slow')]], { startMs: 300 });
  await expect(supervisor.start()).rejects.toThrow('a did not start: not ready in time');
  expect(alive(supervisor.part('a').pid)).toBe(false);
});

test('what does not stop when asked is killed after the limit; stopping during a back-off starts nothing', async () => {
  const supervisor = supervise([[part('a', 'stubborn')], [part('b', 'plain')]], { stopMs: 200 });
  await supervisor.start();
  supervisor.part('b').kill();
  await expect.poll(() => events.some((event) => event.kind === 'died')).toBe(true);
  await supervisor.stop();
  expect(events.at(-1)).toMatchObject({ kind: 'stopped', part: 'a', why: 'signal SIGKILL' });
  expect(readFileSync(join(dir, 'a'), 'utf8')).toContain('asked');
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(starts('b')).toBe(1);
  expect(existsSync(join(dir, 'b.log'))).toBe(true);
});

test('the ports are those of the contract; one in use is named before anything starts', async () => {
  expect(portsOf(15_000, 2)).toEqual({
    proxy: 15_000,
    originPeer: 15_001,
    origin: 15_002,
    tracker: 15_003,
    indexes: [15_004],
    agents: [
      { registry: 16_000, peer: 16_001, admin: 16_002 },
      { registry: 16_010, peer: 16_011, admin: 16_012 },
    ],
  });
  expect(portsOf(15_000, 2, 3).indexes).toEqual([15_004, 15_014, 15_024]);
  expect(() => portsOf(65_000, 2)).toThrow('choose a lower --base-port');
  const base = await freeBase(2, () => 0.5);
  const ports = portsOf(base, 2);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(ports.tracker, '127.0.0.1', resolve));
  expect(await portInUse(ports)).toBe(ports.tracker);
  await expect(requireFree(ports)).rejects.toThrow(
    `port ${ports.tracker} is in use: stop what listens there, or choose other ports with --base-port`,
  );
  expect(await freeBase(2, () => 0.5)).not.toBe(base);
  await new Promise((resolve) => server.close(resolve));
});

/**
 * The demo, end to end, with real processes: small sizes. It ends right whichever part is killed meanwhile,
 * and leaves nothing behind, whether it ends well or is stopped.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KILLS } from './demo/kills.fixtures.ts';

const executable = fileURLToPath(new URL('../bin/shoal.js', import.meta.url));
const limitMs = 120_000;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-demo-test-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

type Ended = { code: number | null; out: string };

/** Everything that the demo writes goes below `dir`: what is left there it left behind. */
function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended>; text: () => string } {
  const child = spawn(process.execPath, [executable, 'demo', '--agents', '2', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: dir },
  });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, out }));
  return { child, ended, text: () => out };
}

/** Processes of this machine whose command line names `dir`. */
function leftRunning(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${dir}/`) ? [pid] : [];
      } catch {
        return [];
      }
    });
}

function expectNothingLeft(): void {
  expect(readdirSync(dir)).toEqual([]);
  expect(leftRunning()).toEqual([]);
}

test('pushes, pulls through every agent, verifies, tells, and leaves nothing behind', {
  timeout: limitMs,
}, async () => {
  const { code, out } = await start('--size', '24MB').ended;
  expect(out).toContain('every byte verified: 2 agents x 24.0 MB in 4 layers');
  expect(code).toBe(0);
  expect(out).toMatch(/agent-1 +[\d.]+ s +[\d.]+ s +[\d.]+ MB\/s +\d+ % +\d+ %/);
  expect(out).not.toContain('trying again');
  expectNothingLeft();
});

test.each(KILLS)('kill -9: %s', { timeout: limitMs }, async (kill) => {
  const { code, out } = await start('--size', '48MB', '--kill', kill).ended;
  expect(out).toContain(`kill -9 of ${kill.split('@')[0]}`);
  expect(out).toContain('every byte verified: 2 agents x 48.0 MB');
  expect(code).toBe(0);
  expectNothingLeft();
});

test('Ctrl-C in the middle: exit code 130, nothing left behind', { timeout: limitMs }, async () => {
  const { child, ended, text } = start('--size', '500MB');
  await expect.poll(text, { timeout: 30_000 }).toContain('image: 4 layers');
  child.kill('SIGINT');
  expect((await ended).code).toBe(130);
  expectNothingLeft();
});

test('what a demo left that was killed goes with the next one', { timeout: limitMs }, async () => {
  const killed = start('--size', '500MB');
  await expect.poll(killed.text, { timeout: 30_000 }).toContain('image: 4 layers');
  const [left] = readdirSync(dir);
  process.kill(Number(left?.split('-')[2]), 'SIGKILL');
  await killed.ended;
  expect(readdirSync(dir)).toEqual([left]);
  await expect.poll(leftRunning, { timeout: 30_000 }).toEqual([]);
  mkdirSync(join(dir, `shoal-demo-${process.pid}-mine00`));
  expect((await start('--size', '4MB').ended).code).toBe(0);
  expect(readdirSync(dir)).toEqual([`shoal-demo-${process.pid}-mine00`]);
});

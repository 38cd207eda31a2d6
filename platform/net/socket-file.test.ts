import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listenOnFile } from './socket-file.ts';

let dir: string;
let socket: string;
const servers: Server[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-socket-'));
  socket = join(dir, 's.sock');
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(dir, { recursive: true });
});

async function listening(mode = 0o660): Promise<Server> {
  const server = createServer((one) => one.end('here'));
  servers.push(server);
  await listenOnFile(server, { socket, mode });
  return server;
}

test('the file has its mode, goes with its server, and may be had again', async () => {
  const first = await listening(0o620);
  expect(statSync(socket).mode & 0o777).toBe(0o620);
  first.close();
  await once(first, 'close');
  expect(existsSync(socket)).toBe(false);
  await expect.poll(() => listening().then(() => true)).toBe(true);
});

test('a second one is refused while the first listens, and takes nothing away from it', async () => {
  await listening();
  await expect(listening()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  expect(statSync(socket).isSocket()).toBe(true);
});

test('of many at the same moment one listens', async () => {
  const all = await Promise.allSettled(Array.from({ length: 8 }, () => listening()));
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
});

/** Listens there in a process of its own, and tells when it does. */
async function elsewhere(): Promise<{ kill(): Promise<void>; stop(): void }> {
  const code = `require('node:net').createServer().listen(${JSON.stringify(socket)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const gone = once(child, 'exit');
  return {
    stop: () => void child.kill('SIGSTOP'),
    kill: async () => {
      child.kill('SIGKILL');
      await gone;
    },
  };
}

test('what a killed process left is taken over; who only hangs is still there', { timeout: 60_000 }, async () => {
  const other = await elsewhere();
  await expect(listening()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  other.stop();
  await expect(listening()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await other.kill();
  expect(existsSync(socket)).toBe(true);
  await listening();
  expect(statSync(socket).mode & 0o777).toBe(0o660);
});

test('a file that is no socket is never touched, nor is a directory made', async () => {
  writeFileSync(socket, 'mine');
  await expect(listening()).rejects.toMatchObject({ code: 'ENOTSOCK' });
  expect(readFileSync(socket, 'utf8')).toBe('mine');
  socket = join(dir, 'no', 's.sock');
  await expect(listening()).rejects.toMatchObject({ code: expect.stringMatching(/ENOENT|EACCES/) });
  chmodSync(dir, 0o700);
});

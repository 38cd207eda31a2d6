import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDataDir } from './data-dir.ts';

/** A toy role in a process of its own; what it does is said by `name` in its configuration. */
const TOY = `
import * as z from 'zod';
import { commonShape } from '${new URL('../config/common.ts', import.meta.url)}';
import { StartError } from '${new URL('./errors.ts', import.meta.url)}';
import { runRole } from '${new URL('./role.ts', import.meta.url)}';
await runRole({ role: 'tracker', env: process.env, schema: z.strictObject({ ...commonShape('tracker') }),
  async run({ config }, stack) {
    if (config.name === 'busy') throw new StartError('port 1 on h is in use: choose another');
    if (config.name === 'crash') setTimeout(() => { throw new Error('boom'); }, 10);
    const keep = setInterval(() => {}, 1000);
    stack.defer(() => { clearInterval(keep); console.log('closed first'); });
    stack.defer(async () => { console.log('closed last'); if (config.name === 'hangs') await new Promise(() => {}); });
    return { ports: { api: 7 } };
  } });
`;

const node = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));
let dir: string;
let toy: string;
beforeAll(() => {
  dir = mkdtempSync(join(fileURLToPath(new URL('../../', import.meta.url)), '.toy-'));
  toy = join(dir, 'toy.ts');
  writeFileSync(toy, TOY);
});
afterAll(() => rmSync(dir, { recursive: true }));

function start(
  name: string,
  ...args: string[]
): { child: ChildProcess; output: Promise<string>; errors: Promise<string>; end: Promise<unknown[]> } {
  const file = join(dir, `${name}.yaml`);
  writeFileSync(file, `role: tracker\nname: ${name}\nshutdown: 300ms\n`);
  const child = fork(toy, ['--config', file, ...args], { silent: true, execPath: node });
  return {
    child,
    output: text(child.stdout as NodeJS.ReadableStream),
    errors: text(child.stderr as NodeJS.ReadableStream),
    end: once(child, 'exit'),
  };
}

test('ready by IPC; SIGTERM closes in reverse order, exit 0', async () => {
  const { child, output, end } = start('plain');
  expect(await once(child, 'message')).toMatchObject([{ ready: true, role: 'tracker', ports: { api: 7 } }, undefined]);
  child.kill('SIGTERM');
  expect(await end).toEqual([0, null]);
  const lines = (await output).trim().split('\n');
  expect(lines.filter((line) => line.startsWith('closed'))).toEqual(['closed last', 'closed first']);
  // The log has a buffer of its own: where its lines come among the others is not promised.
  const logged = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as { msg: string });
  expect(logged.find(({ msg }) => msg === 'ready')).toMatchObject({
    level: 'info',
    role: 'tracker',
    name: 'plain',
    ports: { api: 7 },
  });
});

test('a stop that hangs ends at the limit; a second signal ends at once; so does the loss of the supervisor', async () => {
  const limit = start('hangs');
  await once(limit.child, 'message');
  limit.child.kill('SIGTERM');
  expect(await limit.end).toEqual([1, null]);
  const twice = start('hangs', '--set', 'shutdown=1h');
  await once(twice.child, 'message');
  twice.child.kill('SIGINT');
  await expect.poll(() => twice.child.killed).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 400));
  twice.child.kill('SIGTERM');
  expect(await twice.end).toEqual([1, null]);
  const orphan = start('plain');
  await once(orphan.child, 'message');
  orphan.child.disconnect();
  expect(await orphan.end).toEqual([0, null]);
});

test('failures to start are one line and exit 2; an uncaught error is fatal and exit 1', async () => {
  const busy = start('busy');
  expect(await busy.end).toEqual([2, null]);
  expect(await busy.errors).toBe('port 1 on h is in use: choose another\n');
  const wrong = start('plain', '--set', 'nope=1', '--set', 'shutdown=soon');
  expect(await wrong.end).toEqual([2, null]);
  expect((await wrong.errors).trim().split('\n')).toHaveLength(2);
  const crash = start('crash');
  expect(await crash.end).toEqual([1, null]);
  expect(await crash.output).toContain('"level":"fatal"');
});

test('--check and --schema start nothing', async () => {
  const check = start('plain', '--check');
  expect(await check.end).toEqual([0, null]);
  expect(await check.output).toMatch(/right, for role tracker\n$/);
  const schema = start('plain', '--schema');
  expect(await schema.end).toEqual([0, null]);
  expect(JSON.parse(await schema.output)).toMatchObject({ type: 'object' });
});

test('a data directory is guarded by its version file, and left untouched when it is another', async () => {
  const data = join(mkdtempSync(join(tmpdir(), 'shoal-data-')), 'd');
  await openDataDir(data, 'agent', 1);
  await openDataDir(data, 'agent', 1);
  await expect(openDataDir(data, 'agent', 2)).rejects.toThrow('is of format "agent 1", this process needs "agent 2"');
  await expect(openDataDir(data, 'origin', 1)).rejects.toThrow('choose another');
  expect(readFileSync(join(data, 'version'), 'utf8')).toBe('agent 1\n');
  await expect(openDataDir(join(data, 'version', 'x'), 'agent', 1)).rejects.toThrow('cannot be created');
  await expect(openDataDir(tmpdir(), 'agent', 1)).rejects.toThrow("not Shoal's");
  rmSync(join(data, '..'), { recursive: true });
});

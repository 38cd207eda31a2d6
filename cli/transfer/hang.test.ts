/** What the shell's commands do where the proxy or the agent hangs, as under SIGSTOP. */

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Digest, digestOf } from '../../core/digest.ts';
import { Stoppable } from '../../platform/clients/stoppable.fixtures.ts';
import { get } from '../commands/get.ts';
import { listCommand, removeCommand } from '../commands/list.ts';
import { put } from '../commands/put.ts';

const bytes = Buffer.alloc(100_000, 'x');
const digest: Digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
const { signal } = new AbortController();
const screen = { isTTY: false, columns: 80, write: () => true };

let dir: string;
let far: Stoppable;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-hang-'));
  far = await Stoppable.start((_request, response) => response.writeHead(404).end());
  far.stop();
});
afterEach(() => {
  far[Symbol.dispose]();
  rmSync(dir, { recursive: true });
});

const commands: readonly (readonly [string, () => Promise<unknown>])[] = [
  ['get of a blob', () => get({ target: digest, output: join(dir, 'out'), agent: far.url, screen, signal })],
  ['get of an image', () => get({ target: 'a:1', output: join(dir, 'out'), agent: far.url, screen, signal })],
  ['put', () => put({ file: import.meta.filename, repo: 'a', proxy: far.url, screen, signal })],
  ['ls', () => Array.fromAsync(listCommand('a', { proxy: far.url, signal }))],
  ['rm', () => removeCommand('a:1', undefined, { proxy: far.url, signal })],
];

test.each(commands)('%s fails within seconds, and says who hangs', async (_name, act) => {
  const begun = performance.now();
  await expect(act()).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(`^${far.url}.*(hangs|no answer)`),
  });
  expect(performance.now() - begun).toBeLessThan(8_000);
});

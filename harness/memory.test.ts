/** Directories in memory go, whatever happens; what does not fit is refused before anything runs. */

import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BenchError } from './error.ts';
import { memoryDirectory, onWarmMemory } from './memory.ts';

test('the directory and the ballast go, and the work runs in between', async () => {
  const stack = new AsyncDisposableStack();
  const dir = memoryDirectory(stack, 2 ** 20);
  const answer = await onWarmMemory(dir, 8 * 2 ** 20, async () => {
    writeFileSync(join(dir, 'taken'), Buffer.alloc(2 ** 20));
    expect(readdirSync(dir)).toContain('ballast');
    return 'done';
  });
  expect(answer).toBe('done');
  expect(readdirSync(dir)).toEqual(['taken']);
  await expect(onWarmMemory(dir, 2 ** 20, () => Promise.reject(new Error('broke')))).rejects.toThrow('broke');
  expect(readdirSync(dir)).toEqual(['taken']);
  await stack.disposeAsync();
  expect(existsSync(dir)).toBe(false);
});

test('more than there is names the remedy', () => {
  const stack = new AsyncDisposableStack();
  expect(() => memoryDirectory(stack, 2 ** 50)).toThrow(BenchError);
  expect(() => memoryDirectory(stack, 2 ** 50)).toThrow(/lower --size/);
});

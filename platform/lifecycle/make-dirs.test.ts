import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeDirs } from './make-dirs.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-dirs-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

test('makes what lacks, and is content with what is there', () => {
  makeDirs(join(dir, 'a', 'b', 'c'));
  makeDirs(join(dir, 'a', 'b', 'c'));
  expect(statSync(join(dir, 'a', 'b', 'c')).isDirectory()).toBe(true);
});

test('says why it cannot, and ends', () => {
  writeFileSync(join(dir, 'file'), '');
  expect(() => makeDirs(join(dir, 'file'))).toThrow('ENOTDIR');
  expect(() => makeDirs(join(dir, 'file', 'below'))).toThrow('ENOTDIR');
  expect(() => makeDirs(join(dir, 'x'.repeat(300), 'y'))).toThrow('ENAMETOOLONG');
});

test.runIf(process.platform === 'linux')('a file system that makes no directories does not hold it up', () => {
  for (const path of ['/proc/shoal', '/proc/shoal/below']) expect(() => makeDirs(path)).toThrow('ENOENT');
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { backendConformance } from '../conformance.fixtures.ts';
import { FileBackend } from './file.ts';
import type { Files } from './files.ts';
import { realFiles } from './real-files.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-file-backend-'));
});
afterAll(() => rm(dir, { recursive: true }));

let root = '';
const made = async () => {
  root = await mkdtemp(join(dir, 'd'));
  return new FileBackend({ name: 'test', root, files: unsynced });
};
const shared = async () => new FileBackend({ name: 'shared', root, files: unsynced, shared: true });

/** What this shows needs no disk that survives. */
const unsynced: Files = {
  ...realFiles,
  open: async (path, mode) => Object.assign(await realFiles.open(path, mode), { sync: async () => undefined }),
  syncDirectory: async () => undefined,
};

describe('a directory as a backend', () => backendConformance(made, { objects: 2_100, shared }));

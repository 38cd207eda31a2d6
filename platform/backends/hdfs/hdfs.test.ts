import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe } from 'vitest';
import { backendConformance } from '../conformance.fixtures.ts';
import { FakeHdfs } from './fake.fixtures.ts';

describe('as any backend', () => {
  let fake: FakeHdfs;
  let directory = '';
  beforeAll(async () => {
    fake = await FakeHdfs.start();
  });
  afterAll(() => fake[Symbol.asyncDispose]());
  const make = async () => {
    directory = `/in/${randomUUID()}`;
    fake.makeDirectory(directory);
    // On a busy machine a page of a list may take more than its part of less.
    return fake.backend({ directory }, { stallMs: 100_000 });
  };
  const shared = async () => fake.backend({ directory }, { stallMs: 100_000, shared: true });
  backendConformance(make, { objects: 150, shared });
});

/** Who is sent to a backend for a blob's bytes: only where it confirms just then that they are the blob's. */

import { expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import type { Backend, BackendObject } from '../../platform/backends/backend.ts';
import { Backends, backedBy } from '../../platform/backends/backends.ts';
import { FaultyBackend } from '../../platform/backends/faulty.fixtures.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { sourceOf } from '../../platform/backends/objects.fixtures.ts';
import { blobOf } from '../../platform/store/store.fixtures.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { Redirects, redirectRestMs, redirectWaitMs } from './redirects.ts';

const never = new AbortController().signal;
const blob = blobOf(1000, 1);
const size = blob.bytes.length;

/** Says of no object which digest it has, where it is told to. */
class Forgetful extends MemoryBackend {
  knowsDigests = true;
  override async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    const object = await super.stat(key, signal);
    return object === undefined || this.knowsDigests ? object : { ...object, digest: undefined };
  }
}

async function world() {
  const objects = new Forgetful('signs');
  const presign = async (key: string): Promise<string> => `https://seen.example/${key}?signed`;
  const signs = Object.assign(new FaultyBackend(objects), { presign });
  const other = new MemoryBackend('other');
  const said = { durability: 'origins', required: false } as const;
  const rules = [
    { patterns: ['team/**'], backed: backedBy(other, said) },
    { patterns: ['**'], backed: backedBy(signs, said) },
  ];
  let nowMs = 0;
  const metrics = new Metrics();
  const backends = new Backends(rules);
  const redirects = new Redirects({ backends, clock: { nowMs: () => nowMs }, log: silentLog(), metrics });
  const key = rules[1]!.backed.blobKey(blob.digest);
  return {
    ...{ objects, signs, other, redirects, key },
    pass: (ms: number) => (nowMs += ms),
    put: (backend: Backend) => backend.write(key, sourceOf(blob.bytes), never),
    of: (repo: string | undefined, bytes = size, digest: Digest = blob.digest) =>
      redirects.of({ digest, repo }, bytes, never),
    counted: async (outcome: string): Promise<number> => {
      const line = (await metrics.text()).split('\n').find((one) => one.includes(`outcome="${outcome}"`));
      return Number(line?.split(' ').at(-1) ?? 0);
    },
  };
}

test('what the backend of the repository confirms is had there', async () => {
  const { of, put, signs, key, counted } = await world();
  expect(await of('app')).toBeUndefined();
  await put(signs);
  expect(await of('app')).toBe(`https://seen.example/${key}?signed`);
  expect([await counted('given'), await counted('not there')]).toEqual([1, 1]);
});

test('another size than the caller knows, an object without a digest, and one of another blob are not', async () => {
  const { of, put, objects, signs, counted, key } = await world();
  await put(signs);
  expect(await of('app', size + 1)).toBeUndefined();
  objects.knowsDigests = false;
  expect(await of('app')).toBeUndefined();
  objects.knowsDigests = true;
  await signs.write(key, sourceOf(blobOf(1000, 2).bytes), never);
  expect(await of('app')).toBeUndefined();
  expect([await counted('another'), await counted('no digest'), await counted('given')]).toEqual([2, 1, 0]);
});

test('nobody who asks in a repository of another backend, or in none', async () => {
  const { of, put, signs, other } = await world();
  await put(signs);
  await put(other);
  expect(await of('team/app')).toBeUndefined();
  expect(await of(undefined)).toBeUndefined();
});

test('a backend that hangs or fails costs one reader a second, and is left alone for a while', async () => {
  const { of, put, signs, pass, counted } = await world();
  await put(signs);
  signs.fail({ on: 'stat', what: 'hang' });
  const begunMs = performance.now();
  expect(await of('app')).toBeUndefined();
  expect(performance.now() - begunMs).toBeGreaterThanOrEqual(redirectWaitMs - 50);
  expect(await of('app')).toBeUndefined();
  pass(redirectRestMs + 1);
  signs.fail({ on: 'stat', what: 'unavailable' });
  expect(await of('app')).toBeUndefined();
  pass(redirectRestMs + 1);
  expect(await of('app')).toMatch(/^https:/);
  expect(await counted('failed')).toBe(2);
});

test('a reader who leaves is no failure of the backend', async () => {
  const { put, signs, redirects, of } = await world();
  await put(signs);
  signs.fail({ on: 'stat', what: 'hang' });
  const leaving = new AbortController();
  const asked = redirects.of({ digest: blob.digest, repo: 'app' }, size, leaving.signal);
  leaving.abort(new Error('gone'));
  await expect(asked).rejects.toThrow('gone');
  expect(await of('app')).toMatch(/^https:/);
});

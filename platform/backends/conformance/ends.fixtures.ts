/** What ends a call before its time: its signal, a source that fails, another writer. Of the conformance suite. */

import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Backend } from '../backend.ts';
import { bytesOf, type Conforming, never, sourceOf } from '../objects.fixtures.ts';
import { interrupted } from './interrupted.fixtures.ts';

const calls: Readonly<Record<string, (backend: Backend, signal: AbortSignal) => Promise<unknown>>> = {
  probe: (backend, signal) => backend.probe(signal),
  stat: (backend, signal) => backend.stat('key', signal),
  read: (backend, signal) => bytesOf(backend.read('key', { start: 0, end: 3 }, signal)),
  write: (backend, signal) => backend.write('key', sourceOf(Buffer.from('other')), signal),
  put: (backend, signal) => backend.put('key', Buffer.from('other'), signal),
  list: (backend, signal) => backend.list('', { max: 1 }, signal),
  remove: (backend, signal) => backend.remove('key', signal),
};

/** Writes that meet others, or that are left once all is sent. */
export function lateEndsConformance({ make }: Conforming): void {
  test('a write that is ended once all of its bytes were asked for is done whole, or not at all', async () => {
    await using backend = await make();
    const [old, other] = [sourceOf(randomBytes(300_000)), sourceOf(randomBytes(400_000))];
    await backend.write('key', old, never);
    for (const [key, before] of [
      ['key', old],
      ['new', undefined],
    ] as const) {
      const abort = new AbortController();
      const ending = interrupted(other, other.size, () => abort.abort(new Error('enough')));
      const done = await backend.write(key, ending, abort.signal).then(
        () => other,
        (error: Error) => void expect(error.message).toBe('enough'),
      );
      const found = await backend.stat(key, never);
      // What was sent when its writer went may still have been done.
      expect(done === undefined ? [before?.size, other.size] : [other.size]).toContain(found?.size);
      if (found === undefined) continue;
      const read = await bytesOf(backend.read(key, { start: 0, end: found.size, version: found.version }, never));
      expect(found.size === other.size ? other.digest : old.digest).toBe(sourceOf(read).digest);
    }
  });

  test('of several that write one object at once, one has written it, whole', { timeout: 60_000 }, async () => {
    await using backend = await make();
    const sources = Array.from({ length: 8 }, (_, n) => sourceOf(randomBytes(200_000 + n)));
    const ends = await Promise.allSettled(sources.map((source) => backend.write('key', source, never)));
    // Who finds another's object where its own should be says so: its bytes are confirmed by nobody.
    for (const end of ends) if (end.status === 'rejected') expect(['changed', 'damaged']).toContain(end.reason.why);
    expect(ends.map(({ status }) => status)).toContain('fulfilled');
    const found = await backend.stat('key', never);
    const read = await bytesOf(backend.read('key', { start: 0, end: found?.size ?? 0 }, never));
    expect(sources.map(({ digest }) => digest)).toContain(sourceOf(read).digest);
  });
}

export function endsConformance({ make, can }: Conforming): void {
  test.each(Object.entries(calls))('%s ends with its signal, and does nothing', async (_, call) => {
    await using backend = await make();
    await backend.put('key', Buffer.from('old'), never);
    await expect(call(backend, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
    expect(String(await bytesOf(backend.read('key', { start: 0, end: 3 }, never)))).toBe('old');
  });

  test.each([0, 1, 5, 9])('a write that is ended at tenth %i of its bytes leaves what was there', async (tenth) => {
    await using backend = await make();
    await backend.put('key', Buffer.from('old'), never);
    const source = sourceOf(randomBytes(1_000_000));
    const abort = new AbortController();
    const ending = interrupted(source, tenth * 100_000, () => abort.abort(new Error('enough')));
    await expect(backend.write('key', ending, abort.signal)).rejects.toThrow('enough');
    await expect(backend.write('new', ending, abort.signal)).rejects.toThrow('enough');
    const failing = interrupted(source, tenth * 100_000, () => {
      throw new Error('the source failed');
    });
    await expect(backend.write('key', failing, never)).rejects.toThrow('the source failed');
    expect(await backend.stat('new', never)).toBeUndefined();
    expect(String(await bytesOf(backend.read('key', { start: 0, end: 3 }, never)))).toBe('old');
    if (can.list) expect((await backend.list('', { max: 9 }, never)).objects.length).toBe(1);
  });

  test('a read that is ended gives nothing more; one that is left leaves nothing behind', async () => {
    await using backend = await make();
    const bytes = randomBytes(3_000_000);
    await backend.write('key', sourceOf(bytes), never);
    const abort = new AbortController();
    let came = 0;
    const reading = async (): Promise<void> => {
      for await (const chunk of backend.read('key', { start: 0, end: bytes.length }, abort.signal)) {
        came += chunk.length;
        abort.abort(new Error('enough'));
      }
    };
    await expect(reading()).rejects.toThrow('enough');
    expect(came).toBeLessThan(bytes.length);
    for await (const _ of backend.read('key', { start: 0, end: bytes.length }, never)) break;
    expect(bytes.equals(await bytesOf(backend.read('key', { start: 0, end: bytes.length }, never)))).toBe(true);
  });

  test('an object that is replaced while it is read is read whole as it was, or not at all', async () => {
    await using backend = await make();
    const [old, other] = [randomBytes(3_000_000), randomBytes(3_000_000)];
    const { version } = await backend.write('key', sourceOf(old), never);
    const parts: Buffer[] = [];
    const reading = async (): Promise<void> => {
      for await (const chunk of backend.read('key', { start: 0, end: old.length, version }, never)) {
        if (parts.length === 0) await backend.write('key', sourceOf(other), never);
        parts.push(Buffer.from(chunk));
      }
    };
    await reading().then(
      () => expect(Buffer.concat(parts).equals(old)).toBe(true),
      (error: unknown) => {
        expect(error).toMatchObject({ why: 'changed' });
        const came = Buffer.concat(parts);
        expect(came.equals(old.subarray(0, came.length))).toBe(true);
      },
    );
    const again = bytesOf(backend.read('key', { start: 1000, end: 2000, version }, never));
    await expect(again).rejects.toMatchObject({ why: 'changed' });
  });
}

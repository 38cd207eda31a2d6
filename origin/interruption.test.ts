import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { Interruption } from './interruption.ts';

const chunkBytes = 1024;

test('chunks come in order, and none is kept once it was used', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const seen: WeakRef<Uint8Array>[] = [];
  let ended = false;
  async function* body(): AsyncGenerator<Uint8Array> {
    try {
      for (let i = 0; i < 100; i++) {
        const chunk = new Uint8Array(chunkBytes).fill(i);
        seen.push(new WeakRef(chunk));
        yield chunk;
      }
    } finally {
      ended = true;
    }
  }
  let at = 0;
  for await (const chunk of new Interruption().until(body())) {
    expect(chunk[0]).toBe(at);
    at += 1;
    if (at !== 100) continue;
    // A turn of the event loop ends the life of what a WeakRef was asked for in this one.
    await new Promise((resolve) => setImmediate(resolve));
    gc();
    expect(seen.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(5);
  }
  expect([at, ended]).toEqual([100, true]);
});

test('an end is told to who waits for a chunk, and to who asks for the next one', async () => {
  const why = new Error('another goes on with it');
  async function* silent(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(chunkBytes);
    await new Promise(() => undefined);
  }
  const waited = new Interruption();
  const reading = Array.fromAsync(waited.until(silent()));
  setImmediate(() => waited.stop(why));
  await expect(reading).rejects.toBe(why);

  const busy = new Interruption();
  const chunks = busy.until(silent());
  await chunks.next();
  busy.stop(why);
  await expect(chunks.next()).rejects.toBe(why);
});

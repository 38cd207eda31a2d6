import { expect, test } from 'vitest';
import type { BlobIn } from '../../core/digest.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { VirtualClock } from '../../platform/net/clock.fixtures.ts';
import { blobOf } from '../../platform/store/store.fixtures.ts';
import { Coming, comingMax, vainMs } from './coming.ts';

const blobs: readonly BlobIn[] = Array.from({ length: comingMax + 1 }, (_, no) => ({
  digest: blobOf(100 + no, no).digest,
  repo: 'team/app',
}));

function made() {
  const clock = new VirtualClock();
  const using = new Set<string>();
  const held = new Map<string, number>();
  const pull = (digest: string) => {
    using.add(digest);
    const entry = {
      get heldCount() {
        return held.get(digest) ?? 0;
      },
    };
    const use = () => ({ gave: () => undefined, [Symbol.dispose]: () => void using.delete(digest) });
    return { complete: new Promise(() => undefined), entry, use };
  };
  const warned: unknown[] = [];
  const coming = new Coming({
    tracking: { locate: async ({ digest }) => ({ digest, meta: blobOf(100, 0).meta, origins: [] }) },
    node: { pull },
    log: { warn: (about: object) => void warned.push(about) },
    clock,
  });
  const passes = async (ms: number): Promise<void> => {
    clock.until(clock.ms + ms);
    for (let turns = 0; turns < 20; turns++) await Promise.resolve();
  };
  return { coming, using, held, warned, passes };
}

test('what never comes gives its place to others; what still comes keeps it', async () => {
  using call = CallContext.begin();
  const { coming, using, held, warned, passes } = made();
  const [comes, ...others] = blobs as [BlobIn, BlobIn];
  for (const blob of blobs.slice(0, comingMax)) await coming.begin(blob, call);
  const last = others.at(-1) as BlobIn;
  await expect(coming.begin(last, call)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await passes(vainMs - 1);
  expect(using.size).toBe(comingMax);
  held.set(comes.digest, 1);
  await passes(1);
  expect([...using]).toEqual([comes.digest]);
  expect(warned).toHaveLength(comingMax - 1);
  expect(warned[0]).toMatchObject({ digest: others[0].digest, why: expect.stringContaining('nothing of it came') });
  await coming.begin(last, call);
  await passes(vainMs);
  expect(using.size).toBe(0);
});

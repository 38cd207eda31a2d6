/** Mending, step by step: the store is real, its disk in memory, and the test is the swarm. */

import { expect, test } from 'vitest';
import { unitBytes } from '../../../core/piece.ts';
import { prng } from '../../../core/prng.ts';
import type { Input } from '../../../core/swarm/types.ts';
import { FaultyDisk, faultyRoot } from '../../store/disk/faulty-disk.ts';
import { agentPromises } from '../../store/options.ts';
import { InlinePieceIo } from '../../store/pieces/inline-piece-io.ts';
import { blobOf, fill, writeAll } from '../../store/store.fixtures.ts';
import { BlobStore } from '../../store/store.ts';
import { silentLog } from '../../telemetry/log.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import { Arena } from '../../workers/arena.ts';
import type { PieceJob } from '../../workers/piece-io.ts';
import { until } from '../fixtures.ts';
import { peerMetrics } from '../metrics.ts';
import { Blobs } from './blobs.ts';

/** Its reads from `from` on, in bytes, wait for `open`. */
class GatedIo extends InlinePieceIo {
  from = Number.POSITIVE_INFINITY;
  readonly gate = Promise.withResolvers<void>();

  override async readVerify(job: PieceJob): ReturnType<InlinePieceIo['readVerify']> {
    if (job.position >= this.from) await this.gate.promise;
    return await super.readVerify(job);
  }
}

const sender = { role: 'origin', from: 'unknown' } as const;

test('a bad piece that is found after the one before it has come again is announced and pulled as well', async () => {
  const disk = new FaultyDisk({ prng: prng(1) });
  const arena = new Arena(16 * unitBytes);
  const io = new GatedIo(arena, disk);
  const dir = `${faultyRoot}/data`;
  await using store = await BlobStore.open({ dir, ...agentPromises, workers: io, budgetBytes: 1e9, disk });
  const blob = blobOf(8 * unitBytes, 1, { pieceLength: unitBytes });
  const entry = await store.create(blob.digest, blob.meta, blob.hashes);
  await writeAll(arena, entry, blob);
  const path = disk.paths().find((one) => (disk.peek(one)?.length ?? 0) >= blob.bytes.length) as string;

  const [first, last] = [0, 5];
  for (const piece of [first, last]) disk.rot(path, piece * unitBytes);

  const inputs: Input[] = [];
  const announced: string[] = [];
  const nothing = (): void => undefined;
  const tracking = {
    set: (_: string, state: string) => announced.push(state),
    unset: nothing,
    seek: nothing,
    grows: nothing,
  };
  const blobs = new Blobs({
    nowMs: () => 0,
    input: (input) => inputs.push(input),
    statsOf: () => undefined,
    store,
    arena,
    tracking,
    log: silentLog(),
    metrics: peerMetrics(new Metrics()),
    serves: (digest) => store.get(digest),
    neighbours: 16,
    stallMs: 60_000,
    learnMs: 10_000,
  });
  io.from = last * unitBytes;
  const probe = await arena.acquire('reader', unitBytes);
  expect(await entry.read(first, probe)).toBe('corrupt');
  probe.release();
  blobs.lost(blob.digest, first);
  const pull = blobs.pull(blob.digest);
  const lost = (piece: number): boolean => inputs.some((i) => i.kind === 'lost' && i.piece === piece);

  // The first one comes; the swarm says so, while the disk is still read for others.
  const slot = await arena.acquire('receive', unitBytes);
  fill(slot, blob.bytes.subarray(0, unitBytes));
  blobs.verify({ kind: 'verify', link: 0, blob: 0, piece: first, slot: slot.no, length: unitBytes }, sender);
  await until(() => inputs.some((i) => i.kind === 'verified'));
  blobs.complete({ kind: 'complete', blob: 0 });
  await pull.complete;
  expect(announced).toEqual(['want', 'have']);

  io.gate.resolve();
  await until(() => lost(last));
  expect(announced).toEqual(['want', 'have', 'want']);
  let whole = false;
  void pull.complete.then(() => {
    whole = true;
  });
  const waiter = pull.waitFor(last);
  await Promise.resolve();
  expect(whole).toBe(false);
  const again = await arena.acquire('receive', unitBytes);
  fill(again, blob.bytes.subarray(last * unitBytes, (last + 1) * unitBytes));
  blobs.verify({ kind: 'verify', link: 0, blob: 0, piece: last, slot: again.no, length: unitBytes }, sender);
  await waiter;
  blobs.complete({ kind: 'complete', blob: 0 });
  await pull.complete;
  expect(entry.complete).toBe(true);
  await blobs.close();
});

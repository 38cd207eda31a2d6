/** What the fuzzer has found, each as small as it gets. A new failing seed becomes a test here. */

import { expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { unitBytes } from '../../core/piece.ts';
import { prng } from '../../core/prng.ts';
import { testBlob } from '../../core/swarm/testing/cluster.ts';
import { address, Solo } from '../../core/swarm/testing/solo.ts';
import { FaultyDisk } from '../../platform/store/faulty-disk.ts';
import { InlinePieceIo } from '../../platform/store/inline-piece-io.ts';
import { BlobStore } from '../../platform/store/store.ts';
import { Arena } from '../../platform/workers/arena.ts';
import { contentOf } from './content.ts';
import { dataDir } from './disk.ts';

test('an origin does not delete an acknowledged blob because its disk fails once (seed 12)', async () => {
  const disk = new FaultyDisk({ prng: prng(1) });
  const arena = new Arena(16 * unitBytes);
  const open = () =>
    BlobStore.open({
      dir: dataDir,
      role: 'origin',
      workers: new InlinePieceIo(arena, disk),
      budgetBytes: 1e9,
      durable: true,
      disk,
      flushEveryMs: 0,
    });
  const content = contentOf(new Uint8Array(5_000).fill(7));
  const before = await open();
  const upload = await before.beginUpload('0123456789abcdef', 'sha256');
  await upload.append(content.bytes);
  await upload.commit(content.digest);
  await before[Symbol.asyncDispose]();
  const after = await open();
  disk.plan = (_, action) => (action === 'readNow' ? { kind: 'fail', code: 'EIO' } : undefined);
  const entry = after.get(content.digest);
  expect(() => entry?.hashes).toThrow(ApiError);
  disk.plan = undefined;
  expect(after.get(content.digest)?.complete).toBe(true);
  expect(entry?.hashes).toEqual(content.hashes);
  await after[Symbol.asyncDispose]();
});

test('a blob without metainfo is sought at the tracker, however many links there are (seed 12)', () => {
  const solo = new Solo();
  const one = testBlob(0, 4);
  const peers = Array.from({ length: 16 }, (_, i) => address(i + 1));
  solo.pull(one, peers);
  solo.pass(1_000);
  const { digest } = testBlob(1, 4);
  const out = solo.input({
    kind: 'blob',
    blob: 1,
    digest,
    meta: undefined,
    hashes: undefined,
    have: undefined,
    pull: true,
  });
  expect([...out, ...solo.pass(500)].some((o) => o.kind === 'seek' && o.blob === 1)).toBe(true);
});

test('a piece that comes unasked with its hash list is no fault, whoever leads by then (seed 1)', () => {
  const solo = new Solo();
  const { no, digest, meta, hashes } = testBlob(0, 1);
  const [origin, agent] = [address(1, 'origin'), address(2)];
  solo.input({ kind: 'blob', blob: no, digest, meta: undefined, hashes: undefined, have: undefined, pull: true });
  solo.input({ kind: 'candidates', blob: no, peers: [origin, agent], meta });
  const first = solo.answer(origin);
  const second = solo.answer(agent);
  const opened = { kind: 'opened', swarm: 0, meta, all: true, growing: false, have: new Uint8Array(0) } as const;
  expect([first, second].map((link) => solo.sent(link, 'open')?.needHashes)).toEqual([true, false]);
  solo.say(second, opened);
  solo.say(first, opened);
  solo.say(first, { kind: 'hashes', swarm: 0, from: 0, total: 1, hashes });
  solo.say(first, { kind: 'grant', grant: 1, swarm: 0, piece: 0 });
  expect(solo.faultOf(first)).toBeUndefined();
  expect(solo.swarm.expects(first, 0, 0)).toBe(meta.length);
});

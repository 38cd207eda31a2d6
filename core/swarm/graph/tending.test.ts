/** The regular look at links: what never comes holds a link up for a while only. */

import { expect, test } from 'vitest';
import { zombieMs } from '../limits.ts';
import { testBlob } from '../testing/cluster.ts';
import { address, Solo } from '../testing/solo.ts';

test.each(['before', 'after'])(
  'a piece of a dropped blob that never comes closes its link, opened %s another one',
  (which) => {
    const blobs = which === 'before' ? [testBlob(1, 8), testBlob(0, 8)] : [testBlob(0, 8), testBlob(1, 8)];
    const solo = new Solo();
    const peer = address(1);
    for (const blob of blobs) solo.pull(blob, [peer]);
    const link = solo.answer(peer);
    for (const open of solo.allSent(link, 'open')) {
      const { meta, no } = blobs.find(({ digest }) => digest === open.digest)!;
      const have = new Uint8Array(0);
      solo.say(link, { kind: 'opened', swarm: open.swarm, meta, all: true, growing: false, have });
      if (no === 1) solo.say(link, { kind: 'grant', grant: 1, swarm: open.swarm, piece: -1 });
    }
    expect(solo.allSent(link, 'request')).toHaveLength(1);
    solo.input({ kind: 'drop', blob: 1 });
    solo.pass(zombieMs - 1_000);
    expect(solo.sent(link, 'goodbye')).toBeUndefined();
    solo.pass(2_000);
    expect(solo.sent(link, 'goodbye')?.reason).toBe('slow');
    expect(solo.swarm.totals).toMatchObject({ inPieces: 0, inBytes: 0 });
  },
);

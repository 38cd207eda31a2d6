/** What others do to a digest's gate between the two looks of who links, or unlinks: what was read first counts no more. */

import { expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { Cells } from './cells/cells.ts';
import { WriteNumbers } from './cells/numbers.ts';
import { SharedBucket } from './faulty-bucket.fixtures.ts';
import { Gates, type LinkProof } from './gates.ts';
import { Links } from './links.ts';
import { MarkTelling } from './outbox/telling.ts';

const digest = `sha256:${'1'.padStart(64, '0')}` as Digest;
const never = new AbortController().signal;
const nothing = { make: async () => undefined, leave: async () => undefined };

/** The digest is condemned, which ends its epoch. */
async function condemn(gates: Gates): Promise<void> {
  const gate = await gates.read(digest);
  expect(await gates.write(gate, { epoch: gate.epoch + 1, toldMs: 5 })).toBe(true);
}

/** Links while others do `meanwhile`, once. */
async function link(proof: LinkProof, meanwhile: (gates: Gates) => Promise<void>) {
  const gates = new Gates(new Cells(new SharedBucket().objects, '', never));
  const [made, left]: [number[], number[]] = [[], []];
  const unproved = await gates.link(digest, proof, {
    async make(epoch) {
      made.push(epoch);
      if (made.length === 1) await meanwhile(gates);
    },
    leave: async (epoch) => void left.push(epoch),
  });
  const { epoch, toldMs } = await gates.read(digest);
  return { made, left, unproved, gate: { epoch, toldMs } };
}

test('condemned meanwhile: the link has to be proved, and goes', async () => {
  const gate = { epoch: 1, toldMs: 5 };
  expect(await link(undefined, condemn)).toEqual({ made: [0], left: [0], unproved: 1, gate });
});

test('condemned meanwhile, and linked by somebody who has proved it: the link is made again, where links count now', async () => {
  const end = await link(undefined, async (gates) => {
    await condemn(gates);
    expect(await gates.link(digest, 1, nothing)).toBeUndefined();
  });
  const gate = { epoch: 1, toldMs: undefined };
  expect(end).toEqual({ made: [0, 1], left: [0], unproved: undefined, gate });
});

test('condemned meanwhile, where it is only referred to: so is the reference, and the digest stays condemned', async () => {
  const gate = { epoch: 1, toldMs: 5 };
  expect(await link('none', condemn)).toEqual({ made: [0, 1], left: [0], unproved: undefined, gate });
});

const linksOf = (cells: Cells, gates: Gates): Links =>
  new Links({ cells, gates, telling: new MarkTelling(cells, new WriteNumbers('a'.repeat(32)), undefined) });

test('an unlink that looked where links count no more unlinks what others have linked since', async () => {
  const { objects } = new SharedBucket();
  const cells = new Cells(objects, '', never);
  const gates = new Gates(cells);
  const others = linksOf(cells, gates);
  let once = true;
  const load: typeof objects.load = async (...args) => {
    const found = await objects.load(...args);
    if (!once) return found;
    once = false;
    await condemn(gates);
    expect(await others.linkBlob('a', { digest, size: 9 }, 1)).toBeUndefined();
    return found;
  };
  const slow = new Cells({ ...objects, load }, '', never);
  expect(await linksOf(slow, new Gates(slow)).unlinkBlob('a', digest)).toBe(true);
  expect(await others.blob('a', digest)).toBeUndefined();
});

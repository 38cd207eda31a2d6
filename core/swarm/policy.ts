/** The numbers that the simulator tunes, with their defaults and where each comes from (design, sections 4 and 5). */

import { assert } from '../assert.ts';
import { degreeSlack, sourcesPerBlobMax } from './limits.ts';
import type { PolicyConfig } from './types.ts';

const mebibyte = 1024 * 1024;

export const defaultPolicy: PolicyConfig = {
  neighboursPerBlobMax: 16,
  neighboursMax: 64,
  // The design measured 5 and 3 with grants counted from the moment that they are given; these count what is on the wire.
  uplinkTarget: 1.5,
  uplinkTargetEnd: 1.5,
  endBytes: 8 * mebibyte,
  originSparePieces: 2,
  uplinkCapMs: 800,
  uplinkCapPiecesMin: 4,
  windowBytes: 16 * mebibyte,
  windowPieces: 32,
  windowPiecesStart: 20,
  windowStartShare: 16,
  passRestMs: 20,
  fullRestMs: 250,
  grantExpiryMs: 1_000,
  stallMs: 5_000,
  havesEveryMs: 20,
  readWindowBytesMin: 16 * mebibyte,
  readWindowBytesMax: 256 * mebibyte,
  wishes: true,
  hedgeFloorMs: 400,
  hedgeFactor: 2,
  banMs: 10_000,
  banMsMax: 3_600_000,
};

/** Throws a Bug where a policy cannot work at all. */
export function checkPolicy(policy: PolicyConfig): void {
  const most = sourcesPerBlobMax - degreeSlack;
  const degree = policy.neighboursPerBlobMax;
  assert(degree >= 2 && degree <= most, `policy: neighboursPerBlobMax is 2 to ${most}`);
  assert(policy.neighboursMax >= policy.neighboursPerBlobMax, 'policy: neighboursMax is below neighboursPerBlobMax');
  assert(policy.uplinkTarget > 0 && policy.uplinkTargetEnd > 0, 'policy: an uplink target of nothing sends nothing');
  assert(
    policy.havesEveryMs > 0 && policy.grantExpiryMs > 0 && policy.stallMs > 0,
    'policy: batches, expiries and stalls take time',
  );
  assert(policy.banMs > 0 && policy.banMsMax >= policy.banMs, 'policy: a ban takes time, and no more than the longest');
}

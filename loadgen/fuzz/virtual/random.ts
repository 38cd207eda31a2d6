/**
 * Randomness of a run: while it is installed, what the product draws from Node (ids, jitter, seeds of its own
 * sources) comes from the run's seed, so that one seed gives one run.
 */

import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { type Prng, prng } from '../../../core/prng.ts';

/** Installs it. The returned function puts the real one back. */
export function installRandom(seed: number): () => void {
  const source = prng(seed ^ 0x7a4d0);
  const { randomBytes, randomInt, randomUUID } = crypto;
  const realRandom = Math.random;
  const real = { randomBytes, randomInt, randomUUID };
  Object.assign(crypto, {
    randomBytes: (bytes: number) => drawn(source, bytes),
    randomInt: (low: number, high?: number) =>
      high === undefined ? source.below(low) : low + source.below(high - low),
    randomUUID: () =>
      drawn(source, 16)
        .toString('hex')
        .replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, '$1-$2-4$3-8$4-$5'),
  });
  Math.random = () => source.unit();
  syncBuiltinESMExports();
  return () => {
    Object.assign(crypto, real);
    Math.random = realRandom;
    syncBuiltinESMExports();
  };
}

function drawn(source: Prng, bytes: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, () => source.below(256)));
}

/** Objects for tests of backends. */

import { createHash } from 'node:crypto';
import { type Digest, parseDigest } from '../../core/digest.ts';
import type { Backend, ObjectSource } from './backend.ts';

export const never = new AbortController().signal;

export type Ability = keyof Backend['can'];

export type Conforming = {
  readonly make: () => Promise<Backend>;
  /** What the kind's test expects of it: exactly that. */
  readonly can: Backend['can'];
  /** Objects that the longest list has: more than a page where that costs little. */
  readonly objects: number;
};

export function sourceOf(bytes: Uint8Array): ObjectSource & { readonly digest: Digest } {
  const digest = parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  if (digest === undefined) throw new Error('no digest');
  return {
    size: bytes.length,
    digest,
    async *read(start, end) {
      for (let at = start; at < end; at += 100_000) yield bytes.subarray(at, Math.min(end, at + 100_000));
    },
  };
}

export async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(Buffer.from(chunk));
  return Buffer.concat(all);
}

/**
 * The bytes of a cell: JSON, with who wrote it and after whom.
 *
 * Rule 1: no two writes have equal bytes: each has a name of its own (`by`), so that no server gives two of them one ETag.
 * Rule 2: the bytes of what is there are odd in number, those of a tombstone even: a list, which tells sizes, tells them apart.
 * Rule 3: `past` names the writes before it, the newest first, so that a writer who got no answer finds out what became of
 *   its own.
 * Rule 4: `named` has the newest writes that have a name (platform/tags/named.ts), each with what came of it. A release
 *   that knows none of it reads such a cell, and writes it without.
 */

import { deflateRawSync, inflateRawSync } from 'node:zlib';

/** Writes before it that a cell remembers: as many may come between a write that was not answered and the look for it. */
export const pastMax = 8;
/** Of writes with a name: far more than one tag is given while one of them is on its way; some 4 KB. */
const namedMax = 32;
/** Larger ones are compressed: a record has the annotations of its manifest, which may be 4 MiB as an object may be. */
const plainBytesMax = 64 * 1024;
/** Of a compressed one, open: annotations and references of a manifest of 4 MiB, each said once. */
const openBytesMax = 32 * 1024 * 1024;

/** A write's name, and what came of it. */
export type ToldOf = readonly [name: string, told: string];
export type WrittenBy = {
  readonly by: string;
  readonly past: readonly string[];
  readonly named?: readonly ToldOf[] | undefined;
};
export type Body<T> = WrittenBy & { readonly live: boolean; readonly value: T };

/** Before deflated bytes; after the second there is one that says nothing. */
const [deflated, deflatedAndOne] = [0x79, 0x7a];
const space = 0x20;

export function bodyBytes<T>({ live, value, by, past, named }: Body<T>): Buffer {
  const json = Buffer.from(JSON.stringify({ by, past: past.slice(0, pastMax), named, value }));
  const parity = live ? 1 : 0;
  if (json.length <= plainBytesMax)
    return json.length % 2 === parity ? json : Buffer.concat([json, Buffer.from([space])]);
  const small = deflateRawSync(json);
  const head = (small.length + 1) % 2 === parity ? [deflated] : [deflatedAndOne, space];
  return Buffer.concat([Buffer.from(head), small]);
}

/** Whether an object of that size is there, and no tombstone. */
export function isLive(size: number): boolean {
  return size % 2 === 1;
}

/** undefined: these are no bytes of a cell. */
export function cellBodyOf<T>(bytes: Uint8Array): Body<T> | undefined {
  try {
    const { by, past, named, value } = JSON.parse(String(opened(bytes))) as Omit<Body<T>, 'live'>;
    if (typeof by !== 'string' || !Array.isArray(past) || !areTold(named)) return undefined;
    return { live: isLive(bytes.length), value, by, past, ...(named === undefined ? {} : { named }) };
  } catch {
    return undefined;
  }
}

function areTold(named: unknown): boolean {
  const is = (one: unknown): boolean =>
    Array.isArray(one) && one.length === 2 && one.every((of) => typeof of === 'string');
  return named === undefined || (Array.isArray(named) && named.every(is));
}

/** With one more, which is the newest. */
export function withTold(
  named: readonly ToldOf[] | undefined,
  more: ToldOf | undefined,
): readonly ToldOf[] | undefined {
  return more === undefined ? named : [more, ...(named ?? [])].slice(0, namedMax);
}

function opened(bytes: Uint8Array): Buffer {
  const [first] = bytes;
  const skip = first === deflated ? 1 : first === deflatedAndOne ? 2 : 0;
  if (skip === 0) return Buffer.from(bytes);
  return inflateRawSync(bytes.subarray(skip), { maxOutputLength: openBytesMax });
}

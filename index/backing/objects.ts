/** Small objects of a backend, read whole and written by condition. */

import { type Backend, BackendError, type BackendObject } from '../../platform/backends/backend.ts';
import { newer } from '../../platform/tags/versions.ts';
import { type LinkRecord, recordBytes, recordBytesMax, recordOf } from './records.ts';

/** `bytes` undefined: it is larger than it may be. */
export type SmallObject = { readonly bytes: Uint8Array | undefined; readonly about: BackendObject };
/** `listed`: the size that a list said just now. */
export type SmallAt = { readonly key: string; readonly bytesMax: number; readonly listed?: number | undefined };

/** How often what changes while it is read, or before it is written, is taken up anew: others write a key now and then. */
const turnsMax = 8;

/**
 * The bytes, where the object has the listed size and `good` finds nothing wrong with them: one request in place of two.
 * undefined: whatever that came to, it says nothing, and the object is to be asked for.
 */
export async function readListed(
  backend: Backend,
  { key, bytesMax, listed }: SmallAt,
  good: (bytes: Uint8Array) => boolean,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  if (listed === undefined || listed > bytesMax) return undefined;
  try {
    const bytes = await bytesOf(backend, key, { size: listed }, signal);
    return good(bytes) ? bytes : undefined;
  } catch (error) {
    if (error instanceof BackendError && !signal.aborted) return undefined;
    throw error;
  }
}

/** The object whole; undefined: there is none. */
export async function readSmall(
  backend: Backend,
  { key, bytesMax }: SmallAt,
  signal: AbortSignal,
): Promise<SmallObject | undefined> {
  for (let turn = 1; ; turn++) {
    const about = await backend.stat(key, signal);
    if (about === undefined) return undefined;
    if (about.size > bytesMax) return { bytes: undefined, about };
    try {
      return { bytes: await bytesOf(backend, key, about, signal), about };
    } catch (error) {
      const again = error instanceof BackendError && (error.why === 'changed' || error.why === 'missing');
      if (!again || turn === turnsMax) throw error;
    }
  }
}

async function bytesOf(
  backend: Backend,
  key: string,
  { size, version }: { readonly size: number; readonly version?: string },
  signal: AbortSignal,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  if (size > 0) {
    for await (const part of backend.read(
      key,
      { start: 0, end: size, ...(version !== undefined && { version }) },
      signal,
    )) {
      length += part.length;
      if (length > size) break;
      parts.push(Uint8Array.from(part));
    }
  }
  if (length === size) return Buffer.concat(parts);
  throw new BackendError('damaged', `${backend.name}: ${key} came with other than its ${size} bytes`);
}

/**
 * Writes a record unless the one there is as new or newer. What is no record gives way. Where a backend knows no
 * conditions, two that write at the same moment may leave the older one: the next write of the key mends it.
 */
export async function putRecord(
  backend: Backend,
  key: string,
  record: LinkRecord,
  signal: AbortSignal,
): Promise<{ readonly newer?: LinkRecord }> {
  for (let turn = 1; ; turn++) {
    const found = await readSmall(backend, { key, bytesMax: recordBytesMax }, signal);
    const there = recordOf(found?.bytes);
    if (there?.version === record.version) return {};
    if (there !== undefined && !newer(record.version, there.version)) return { newer: there };
    const expected = { version: found?.about.version ?? null };
    try {
      await backend.put(key, recordBytes(record), signal, backend.can.conditions ? expected : undefined);
      return {};
    } catch (error) {
      if (!(error instanceof BackendError) || error.why !== 'changed' || turn === turnsMax) throw error;
    }
  }
}

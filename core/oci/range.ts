/**
 * Byte ranges: `Range` of a read (RFC 9110, section 14) and `Content-Range` of an uploaded chunk
 * (OCI distribution 1.1, "Pushing a blob in chunks": `first-last`, no unit, no total).
 *
 * Ranges in our values are half open: [start, end).
 */

import { ApiError } from '../contracts/errors.ts';

export type ByteRange = { readonly start: number; readonly end: number };

/** What of `size` bytes a reader gets: all, a part, or nothing (416). */
export type RangeChoice =
  | { readonly kind: 'whole' }
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' };

const WHOLE: RangeChoice = { kind: 'whole' };
const UNSATISFIABLE: RangeChoice = { kind: 'unsatisfiable' };

/**
 * RFC 9110 lets a server ignore a Range that it cannot read, or that names several parts: the answer
 * is then the whole. The same for an empty blob, as clients add `bytes=0-` without knowing its size.
 */
export function chooseRange(header: string | undefined, size: number): RangeChoice {
  if (header === undefined || size === 0) return WHOLE;
  const match = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header);
  const [, first, last] = match ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return WHOLE;
  if (first === '') {
    const suffix = Number(last);
    return suffix === 0 ? UNSATISFIABLE : { kind: 'part', start: Math.max(0, size - suffix), end: size };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return WHOLE;
  if (start >= size) return UNSATISFIABLE;
  return { kind: 'part', start, end: last === '' ? size : Math.min(Number(last) + 1, size) };
}

/** `Content-Range` of a 206 answer. */
export function contentRange(range: ByteRange, size: number): string {
  return `bytes ${range.start}-${range.end - 1}/${size}`;
}

/** `Content-Range` of a 416 answer. */
export function unsatisfiedRange(size: number): string {
  return `bytes */${size}`;
}

/**
 * The range that a chunk of an upload says it covers. `bytes ` before and `/total` behind are taken
 * as well, since some clients write them. Throws ApiError BLOB_UPLOAD_INVALID.
 */
export function parseChunkRange(header: string): ByteRange {
  const match = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d{1,15}|\*))?$/.exec(header.trim());
  const start = Number(match?.[1]);
  const end = Number(match?.[2]) + 1;
  if (match === null || end <= start) {
    throw new ApiError(
      'BLOB_UPLOAD_INVALID',
      `Content-Range '${header.slice(0, 80)}' is malformed: write first-last, e.g. 0-1023`,
    );
  }
  return { start, end };
}

/** `Range` of an upload that holds `offset` bytes; an empty one says `0-0`, as clients expect it. */
export function uploadRange(offset: number): string {
  return `0-${Math.max(0, offset - 1)}`;
}

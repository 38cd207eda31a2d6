/** What the head of an answer says of a blob: its size, and what it is told apart by. */

import type { BackendObject } from '../backend.ts';
import type { WebAnswer } from '../web/answer.ts';

export type ContentRange = { readonly start: number; readonly end: number; readonly size: number | undefined };

/** Of a 206: exclusive, as everywhere; undefined: it does not say. */
export function rangeOf({ headers }: WebAnswer): ContentRange | undefined {
  const [, start, last, size] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers['content-range'] ?? '') ?? [];
  if (start === undefined) return undefined;
  return { start: Number(start), end: Number(last) + 1, size: size === '*' ? undefined : Number(size) };
}

/** Of an answer that is all of the blob; undefined: it does not say, or has encoded it. */
export function wholeSize({ headers }: WebAnswer): number | undefined {
  const length = headers['content-length'];
  return length === undefined || !/^\d+$/.test(length) || encoded(headers) ? undefined : Number(length);
}

function encoded(headers: WebAnswer['headers']): boolean {
  return !['', 'identity'].includes(headers['content-encoding'] ?? '');
}

/** An ETag, be it a weak one: bytes are compared with the digest as well. */
export function versionOf(size: number, { headers }: WebAnswer): string {
  return headers['etag'] ?? headers['last-modified'] ?? `${size} bytes`;
}

export function objectOf(size: number, answer: WebAnswer): BackendObject {
  return { size, version: versionOf(size, answer) };
}

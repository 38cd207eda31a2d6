/** An object as Google's JSON API describes it. */

import * as z from 'zod';
import { type Digest, parseDigest } from '../../../core/digest.ts';
import type { BackendObject } from '../backend.ts';

/** In an object's own metadata; the digest as its writer recorded it. */
const digestField = 'shoal-digest';

/** What is asked for of an object, so that no more is sent. */
export const objectFields = 'name,size,generation,md5Hash,metadata';

/** Numbers of 64 bits come as text. */
const whole = z.string().regex(/^\d{1,19}$/);
const described = z.object({
  size: whole,
  generation: whole,
  md5Hash: z.string().max(64).optional(),
  metadata: z.record(z.string(), z.string()).optional(),
});
const page = z.object({
  items: z.array(z.object({ name: z.string(), size: whole })).optional(),
  nextPageToken: z.string().optional(),
});

export type GcsObject = BackendObject & { readonly md5: string | undefined };

/** undefined: it is no description of an object. */
export function gcsObjectOf(json: unknown): GcsObject | undefined {
  const { success, data } = described.safeParse(json);
  if (!success) return undefined;
  const { size, generation, md5Hash, metadata } = data;
  const digest = parseDigest(metadata?.[digestField] ?? '');
  return { size: Number(size), version: generation, digest, md5: md5Hash };
}

export function gcsPageOf(
  json: unknown,
): { objects: { key: string; size: number }[]; token: string | undefined } | undefined {
  const { success, data } = page.safeParse(json);
  if (!success) return undefined;
  const objects = (data.items ?? []).map(({ name, size }) => ({ key: name, size: Number(size) }));
  return { objects, token: data.nextPageToken };
}

/** What is written with an object. */
export function describing(
  key: string,
  { digest, md5 }: { digest?: Digest | undefined; md5?: string | undefined },
): string {
  return JSON.stringify({
    name: key,
    contentType: 'application/octet-stream',
    ...(md5 !== undefined && { md5Hash: md5 }),
    ...(digest !== undefined && { metadata: { [digestField]: digest } }),
  });
}

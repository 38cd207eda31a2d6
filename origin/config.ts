/** What an origin's configuration may say, and its defaults. */

import * as z from 'zod';
import { commonShape } from '../platform/config/common.ts';
import { baseUrl, duration, listenAt, size } from '../platform/config/units.ts';
import { StartError } from '../platform/lifecycle/errors.ts';
import { peerShape } from '../platform/peer/config.ts';

export const originSchema = z.strictObject({
  ...commonShape('origin'),
  data: z.string().min(1).prefault('/var/lib/shoal/origin'),
  /** The API: uploads, reads, metainfo. */
  listen: listenAt(15_002),
  peer: peerShape(15_001),
  /** Bytes of blobs that the disk may hold. An origin evicts nothing: beyond it, uploads are refused. */
  disk: z.strictObject({ budget: size('1TiB') }).prefault({}),
  memory: z.strictObject({ arena: size('64MiB') }).prefault({}),
  workers: z.int().min(1).max(64).prefault(1),
  trackers: z.array(baseUrl()).min(1).prefault(['http://127.0.0.1:15003']),
  /** Every origin of the cluster, this one included, the same list everywhere. */
  origins: z.array(baseUrl()).min(1).prefault(['http://127.0.0.1:15002']),
  /** This origin's entry in `origins`; may be left out where there is only one. */
  self: baseUrl().optional(),
  /** Origins that own a blob, the digest's first ones on the ring. */
  replicas: z.int().min(1).max(16).prefault(2),
  uploads: z
    .strictObject({
      /** Uploads open at once; a further one is told to come back. */
      limit: z.int().min(1).max(10_000).prefault(256),
      /** An upload that nothing was sent to for so long is removed. */
      idle: duration('1h'),
    })
    .prefault({}),
});

export type OriginConfig = z.infer<typeof originSchema>;

/** This origin's id on the ring. StartError where the list of origins does not say which one it is. */
export function ownEntry(config: OriginConfig): string {
  const [only, ...more] = config.origins;
  const self = config.self ?? (more.length === 0 ? only : undefined);
  if (self === undefined) throw new StartError('origins: several are listed, so `self` must say which one this is');
  if (!config.origins.includes(self)) throw new StartError(`self: ${self} is not among the origins listed`);
  return self;
}

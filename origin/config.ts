/** What an origin's configuration may say, and its defaults. */

import * as z from 'zod';
import { weightRange } from '../core/contracts/members.ts';
import { backendsShape } from '../platform/backends/config.ts';
import { commonShape } from '../platform/config/common.ts';
import { evictionShape } from '../platform/config/eviction.ts';
import { listenAt } from '../platform/config/listen.ts';
import { budgetMin, hotMemory, piecesShape } from '../platform/config/memory.ts';
import { placeFits } from '../platform/config/place.ts';
import { elsewhere, portsApart, withRules } from '../platform/config/rules.ts';
import { baseUrl, duration, size } from '../platform/config/units.ts';
import { volumesApart, volumesShape } from '../platform/config/volumes.ts';
import { scrubShape } from '../platform/host/scrub/config.ts';
import { memberEntries, membersShape, someMembers } from '../platform/members/config.ts';
import { peerShape } from '../platform/peer/config.ts';
import { swarmShape } from '../platform/peer/swarm-config.ts';
import { repairShape } from './repair/config.ts';

const shape = z.strictObject({
  ...commonShape('origin'),
  data: z.string().min(1).prefault('/var/lib/shoal/origin'),
  /** The API: uploads, reads, metainfo. */
  listen: listenAt(15_002),
  peer: peerShape(15_001),
  swarm: swarmShape(),
  /**
   * Bytes of blobs that the disk may hold. Beyond it goes what the index has condemned, since nothing has linked to it
   * for long; then uploads are refused.
   */
  disk: z.strictObject({ budget: size('1TiB', budgetMin), memory: hotMemory(), ...evictionShape }).prefault({}),
  ...volumesShape,
  ...piecesShape,
  trackers: someMembers('http://127.0.0.1:15003'),
  /** Asked what may go when room is needed; none: nothing goes. */
  index: memberEntries().prefault([]),
  /** Every origin of the cluster, this one included, the same list everywhere. */
  origins: someMembers('http://127.0.0.1:15002'),
  ...membersShape(),
  /** This origin's entry in `origins`; left out, it is found by its id. */
  self: baseUrl().optional(),
  /** How much of the blobs it is to own, against the others' weights. */
  weight: z.number().min(weightRange.min).max(weightRange.max).prefault(1),
  /** Origins that own a blob, the digest's first ones by rendezvous hashing. */
  replicas: z.int().min(1).max(16).prefault(2),
  repair: repairShape(),
  /** How what is on the disk is read back. */
  scrub: scrubShape(),
  /** Where blobs rest beyond the origins' disks. */
  backends: backendsShape(),
  pull: z
    .strictObject({
      /** Of a blob that still comes from a backend, a range is given only once the whole is known to be right. */
      strict: z.boolean().prefault(false),
    })
    .prefault({}),
  uploads: z
    .strictObject({
      /** Uploads open at once; a further one is told to come back. */
      limit: z.int().min(1).max(10_000).prefault(256),
      /** An upload that nothing was sent to for so long is removed. */
      idle: duration('1h', { min: '1s', why: 'as clients pause between chunks' }),
    })
    .prefault({}),
});

type Shape = z.output<typeof shape>;

export const originSchema = withRules(shape, [
  ...portsApart<Shape>('listen', 'peer'),
  volumesApart,
  ...placeFits,
  elsewhere<Shape>('trackers', 'listen', 'peer'),
  elsewhere<Shape>('index', 'listen', 'peer'),
  {
    at: 'self',
    of: ['origins'],
    problem: ({ origins, self }) =>
      self !== undefined && origins.every((entry) => !entry.includes('+')) && !origins.includes(self)
        ? `${self} is not among the origins listed: ${origins.join(', ')}`
        : undefined,
  },
]);

export type OriginConfig = z.infer<typeof originSchema>;

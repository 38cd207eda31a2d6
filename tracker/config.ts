/** What a tracker's configuration may say, and its defaults. */

import * as z from 'zod';
import { nodesMax } from '../core/handout/leases.ts';
import { handoutLimits } from '../core/handout/limits.ts';
import { commonShape } from '../platform/config/common.ts';
import { listenAt } from '../platform/config/listen.ts';
import { elsewhere, withRules } from '../platform/config/rules.ts';
import { duration, network, size } from '../platform/config/units.ts';
import { membersShape, someMembers } from '../platform/members/config.ts';
import { lookupsAtOnce } from './allowance.ts';

/** redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// for TLS. */
function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, pathname } = new URL(text);
  return (protocol === 'redis:' || protocol === 'rediss:') && hostname !== '' && /^(\/\d{0,5})?$/.test(pathname);
}

/** Three or five are usual. */
const sentinelsMax = 16;

const leasesSchema = z
  .strictObject({
    /** Redis or Valkey. With `sentinels` its host is the name that they know the servers by. */
    redis: z
      .string()
      .max(2048)
      .refine(isRedisUrl, 'expected redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// for TLS'),
    /** In place of one in the address; read again for each connection. */
    passwordFile: z.string().min(1).max(4096).optional(),
    /** Those that tell which of several servers is the one to write to. */
    sentinels: z
      .array(
        z
          .string()
          .max(300)
          .regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:/@[\]]+):\d{1,5}$/, 'expected HOST:PORT'),
      )
      .max(sentinelsMax)
      .prefault([]),
    /** Of all keys, and of the channel: clusters that use one server differ in it. */
    prefix: z
      .string()
      .regex(/^[A-Za-z0-9:_-]{1,64}$/, 'expected letters, digits, :, _ and -, 64 characters at most')
      .prefault('shoal'),
  })
  .refine(({ redis, passwordFile }) => passwordFile === undefined || URL.parse(redis)?.password === '', {
    path: ['passwordFile'],
    message: 'there is a password in `redis` as well: leave out one',
  })
  .optional();

export type LeasesSettings = NonNullable<z.output<typeof leasesSchema>>;

const shape = z.strictObject({
  ...commonShape('tracker'),
  listen: listenAt(15_003),
  /** Load balancers in front of the trackers, whose X-Forwarded-For says which host announces. */
  trustedProxies: z.array(network()).prefault([]),
  /** Every origin of the cluster, the same list as theirs: metainfo and small blobs come from there. */
  origins: someMembers('http://127.0.0.1:15002'),
  ...membersShape(),
  /** A node that announces nothing for so long is gone; renewals come every `interval`. */
  lease: duration('30s'),
  interval: duration('10s', { min: '100ms', why: 'or hosts do nothing else' }),
  limits: z
    .strictObject({
      leases: z.int().min(1).prefault(handoutLimits.leases),
      swarms: z.int().min(1).prefault(handoutLimits.swarms),
      nodes: z.int().min(1).max(nodesMax).prefault(handoutLimits.nodes),
      /** What one client may have of these: an address, or the network that an IPv6 address is in. */
      client: z
        .strictObject({
          leases: z.int().min(1).prefault(handoutLimits.client.leases),
          nodes: z.int().min(1).prefault(handoutLimits.client.nodes),
          /** Blobs that no origin has: so many at once, and a quarter of it a second, is the origins asked of for it. */
          lookups: z.int().min(1).prefault(lookupsAtOnce),
        })
        .prefault({}),
    })
    .prefault({}),
  /** Where trackers share their leases; without it each knows what it was announced itself. */
  leases: leasesSchema,
  lookup: z
    .strictObject({
      /** Memory for metainfo and small blobs. */
      memory: size('64MiB', { min: '1MiB', why: 'a few small blobs' }),
      /** How long an announce may wait for the origins before it is told to ask again. */
      wait: duration('250ms', { max: '60s' }),
    })
    .prefault({}),
});

export const trackerSchema = withRules(shape, [
  elsewhere<z.output<typeof shape>>('origins', 'listen'),
  {
    at: 'interval',
    of: ['lease'],
    problem: ({ interval, lease }) =>
      interval < lease ? undefined : 'must be shorter than `lease`, or leases end between renewals',
  },
]);

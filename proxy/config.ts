/** What a proxy's configuration may say, and its defaults. */

import * as z from 'zod';
import { auditShape } from '../platform/audit/config.ts';
import { commonShape } from '../platform/config/common.ts';
import { listenAt, listenWhere } from '../platform/config/listen.ts';
import { elsewhere, portsApart, withRules } from '../platform/config/rules.ts';
import { duration, network } from '../platform/config/units.ts';
import { membersShape, someMembers } from '../platform/members/config.ts';
import { cosignShape } from '../platform/signatures/config.ts';
import { proxyAccessShape } from './access/config.ts';
import { prefetchShape } from './prefetch/config.ts';

const shape = z.strictObject({
  ...commonShape('proxy'),
  /** The registry API, health and metrics. `localhost`: 127.0.0.1 and ::1. */
  listen: listenAt(15_000),
  /**
   * Metrics and members, for who operates the cluster. Left out, `listen` answers them where only this host reaches it, or
   * where callers show certificates (`tls`), and nobody does otherwise.
   */
  admin: listenWhere(15_005).optional(),
  /**
   * Load balancers in front of the proxies, whose X-Forwarded-For says who the client is. Without them all that
   * comes through one counts as one client, where room is short and clients are told apart.
   */
  trustedProxies: z.array(network()).prefault([]),
  index: someMembers('http://127.0.0.1:15004'),
  /** All origins: URLs, or where DNS tells of them (docs/members.md). */
  origins: someMembers('http://127.0.0.1:15002'),
  ...membersShape(),
  push: z
    .strictObject({
      /** Origins that every upload is streamed to; all where there are fewer. */
      copies: z.int().min(1).max(8).prefault(2),
      /** How many of these (of as many origins as there are) hold a blob synced before its push is acknowledged: one host may then be lost. */
      required: z.int().min(1).max(8).prefault(2),
      /** An origin that takes no byte for so long is left behind. */
      originStall: duration('15s', { min: '1s', why: 'as a disk may pause' }),
      /** A client that sends no byte for so long is cut off; it may go on with the upload. */
      clientStall: duration('60s', { min: '1s', why: 'as a network may pause' }),
    })
    .prefault({}),
  replication: z
    .strictObject({
      /** Other clusters that send writes with their versions show one of these secrets: docs/replication.md. */
      receive: z
        .strictObject({
          tokens: z.array(z.string().min(16, 'at least 16 characters').max(4096)).max(64).prefault([]),
          /** One a line; read again when it is used. */
          tokenFile: z.string().min(1).max(2048).optional(),
        })
        .refine(({ tokens, tokenFile }) => tokens.length > 0 || tokenFile !== undefined, {
          error: 'give `tokens` or `tokenFile`, or leave it out: then versions of others are taken from nobody',
        })
        .optional(),
    })
    .prefault({}),
  /** Who may pull, push and delete: docs/access.md. Left out: whoever reaches the port may. */
  access: proxyAccessShape(),
  /** Of what Kraken's prefetch and registries' notifications name, what the origins are asked to have: docs/kraken.md. */
  prefetch: prefetchShape(),
  /** Who pushes and deletes what is written down: docs/audit.md. */
  audit: auditShape(),
  /** What a tag may be set to: docs/signatures.md. */
  verify: z.strictObject({ cosign: cosignShape() }).prefault({}),
  pull: z
    .strictObject({
      /** A client that takes no byte of its answer for so long is cut off. */
      pause: duration('15m', { min: '1s', why: 'as a network may pause' }),
    })
    .prefault({}),
});

export const proxySchema = withRules(shape, [
  ...portsApart<z.output<typeof shape>>('listen', 'admin'),
  ...['index', 'origins'].map((urls) => elsewhere<z.output<typeof shape>>(urls, 'listen', 'admin')),
  {
    at: 'push.required',
    of: ['push.copies'],
    problem: ({ push: { required, copies } }) =>
      required > copies
        ? `${required} cannot hold a blob of which ${copies} get a copy: raise \`push.copies\``
        : undefined,
  },
]);

export type ProxyConfig = z.infer<typeof proxySchema>;

/** What an agent's configuration may say, and its defaults. */

import * as z from 'zod';
import { originsToldMax } from '../core/contracts/tracker.ts';
import { commonShape } from '../platform/config/common.ts';
import { evictionShape } from '../platform/config/eviction.ts';
import { listenAt } from '../platform/config/listen.ts';
import { budgetMin, piecesShape } from '../platform/config/memory.ts';
import { placeFits } from '../platform/config/place.ts';
import { elsewhere, portsApart, withRules } from '../platform/config/rules.ts';
import { baseUrl, duration, size } from '../platform/config/units.ts';
import { volumesApart, volumesShape } from '../platform/config/volumes.ts';
import { scrubShape } from '../platform/host/scrub/config.ts';
import { rareTiming } from '../platform/members/checks.ts';
import { memberEntries, membersShape, someMembers } from '../platform/members/config.ts';
import { peerShape } from '../platform/peer/config.ts';
import { swarmShape } from '../platform/peer/swarm-config.ts';
import { cosignShape } from '../platform/signatures/config.ts';
import { agentAccessShape } from './access/config.ts';
import { preloadShape } from './preload/config.ts';
import { sharingShape } from './sharing/config.ts';

/** pieces: each by the list of the origin, which verified the blob. full: the whole by its digest as well, once it is here. */
const content = z.enum(['pieces', 'full']);

const shape = z.strictObject({
  ...commonShape('agent'),
  data: z.string().min(1).prefault('/var/lib/shoal/agent'),
  /** The registry that the container runtime talks to. */
  listen: listenAt(16_000),
  /** Health, metrics, status, Kraken's agent paths. */
  admin: listenAt(16_002),
  peer: peerShape(16_001),
  swarm: swarmShape(),
  /** What does not fit is streamed through, and not kept. */
  cache: z.strictObject({ budget: size('100GiB', budgetMin), ...evictionShape }).prefault({}),
  ...volumesShape,
  storage: sharingShape(),
  ...piecesShape,
  trackers: someMembers('http://127.0.0.1:15003'),
  /** Every origin of the cluster, as their own configuration has them. Left out: those that a tracker told of last. */
  origins: memberEntries().min(1).max(originsToldMax).optional(),
  // There are thousands of them.
  ...membersShape({ check: `${rareTiming.everyMs}ms`, refresh: '60s' }),
  index: someMembers('http://127.0.0.1:15004'),
  /** Of Kraken's `/preload`: docs/kraken.md. */
  preload: preloadShape(),
  /** Named in the answer to whoever tries to push to the agent. */
  proxy: baseUrl('http://127.0.0.1:15000'),
  /** Who may pull: docs/access.md. Left out: whoever reaches the port may. */
  access: agentAccessShape(),
  /** `verify: full` says its `content`. */
  verify: z
    .union([content, z.strictObject({ content: content.prefault('pieces'), cosign: cosignShape() })])
    .transform((said) => (typeof said === 'string' ? { content: said, cosign: [] } : said))
    .prefault('pieces'),
  /** How what is in the cache is read back. */
  scrub: scrubShape(),
  pull: z
    .strictObject({
      /** A pull that no client wants any more goes on for so long, for clients that ask range by range. */
      linger: duration('10s', { min: '0s' }),
      /** How long an unknown blob may take to be found before the answer is 503. */
      find: duration('2s', { min: '50ms', why: 'what one question to a tracker takes' }),
      /**
       * Of a blob that an origin still receives from its backend, a range is given only once it is known that the whole is
       * the digest's. Left false, a range that ends before the last piece comes at once, each piece verified by its own hash.
       */
      strict: z.boolean().prefault(false),
      /** A client that takes no byte of its answer for so long is cut off. */
      pause: duration('15m', { min: '1s', why: 'as a network may pause' }),
    })
    .prefault({}),
});

const listens = ['listen', 'admin', 'peer'] as const;

export const agentSchema = withRules(shape, [
  ...portsApart<z.output<typeof shape>>(...listens),
  volumesApart,
  ...placeFits,
  ...['trackers', 'index', 'proxy'].map((urls) => elsewhere<z.output<typeof shape>>(urls, ...listens)),
]);

export type AgentConfig = z.infer<typeof agentSchema>;

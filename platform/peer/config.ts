/** The `peer` part of an agent's or origin's configuration, and what PeerNode takes of it. */

import * as z from 'zod';
import { hostBytesMax, hostPattern } from '../../core/wire/limits.ts';
import { allowShape } from '../config/listen.ts';
import { placeShape } from '../config/place.ts';
import { hostName, parseHostPort, port, rate } from '../config/units.ts';
import { realClock } from '../net/clock.ts';
import { tcp } from '../net/tcp.ts';
import { localAddressTowards } from './advertise.ts';
import { limitBytesPerSMin } from './limits.ts';

/** host, host:port or [ipv6]:port; empty: found out. */
const advertised = z.string().transform((text, ctx): { host: string; port?: number | undefined } | undefined => {
  if (text === '') return undefined;
  const at: { host: string; port?: number } = parseHostPort(text) ?? { host: /^\[(.+)\]$/.exec(text)?.[1] ?? text };
  if (at.host.length <= hostBytesMax && hostPattern.test(at.host) && at.port !== 0) return at;
  ctx.addIssue({ code: 'custom', message: `expected host, host:port or [ipv6]:port, got ${JSON.stringify(text)}` });
  return z.NEVER;
});

const limit = () =>
  rate(undefined, { min: '0B/s' }).refine(
    (bytes) => bytes >= limitBytesPerSMin,
    `a limit is at least ${limitBytesPerSMin / 1000}kB/s: peers give up a link that hardly moves`,
  );
/** Of less, no piece would ever be granted in time. */
const uplink = () => rate(undefined, { min: `${limitBytesPerSMin / 1000}kB/s` });

export const peerShape = (fallbackPort: number) =>
  z
    .strictObject({
      host: hostName().prefault('0.0.0.0'),
      port: port(fallbackPort),
      ...allowShape,
      ...placeShape,
      /** What other peers dial; empty: the local address of the route to the tracker. */
      advertise: advertised.prefault(''),
      /** What this host's uplink carries, where it is known: sizes what is under way. Holds nothing back. */
      uplink: uplink().optional(),
      /** What this process may send to peers and receive from them, pieces only. Unset: no limit. */
      limits: z.strictObject({ up: limit().optional(), down: limit().optional() }).prefault({}),
    })
    .prefault({});

export type PeerConfig = z.infer<ReturnType<typeof peerShape>>;

/** Over which network, where to listen and under which address to be dialled, for PeerNode.listen. */
export async function peerOptions(peer: PeerConfig, trackers: readonly string[]) {
  const { host, port: listenPort, uplink, limits } = peer;
  const advertise = peer.advertise ?? (isWildcard(host) ? await towards(trackers) : undefined);
  return {
    net: tcp,
    clock: realClock,
    host,
    port: listenPort,
    advertise,
    uplinkBytesPerS: uplink,
    limits: { upBytesPerS: limits.up, downBytesPerS: limits.down },
  };
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** Our address on the way to the first tracker that there is a way to; undefined without any. */
async function towards(trackers: readonly string[]): Promise<{ host: string } | undefined> {
  for (const tracker of trackers) {
    const url = new URL(tracker);
    try {
      return { host: await localAddressTowards(url.hostname.replace(/^\[|\]$/g, ''), Number(url.port || 80)) };
    } catch {
      // No route, or the name does not resolve now: the next one may.
    }
  }
  return undefined;
}

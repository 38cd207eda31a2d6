/** The origins' metainfo over the run's network: what trackers' lookups, and agents without trackers, ask with. */

import { Rendezvous } from '../../core/rendezvous/rendezvous.ts';
import type { AskedOrigins } from '../../platform/clients/finder.ts';
import type { OriginClient } from '../../platform/clients/origin.ts';
import type { OriginSite } from './origin.ts';
import type { Process, World } from './world.ts';

const infoMs = 2_000;

export function askedOrigins(world: World, process: Process, origins: ReadonlyMap<string, OriginSite>): AskedOrigins {
  const ring = Rendezvous.of([...origins.keys()]);
  const clients = new Map(
    [...origins].map(([url, site]) => {
      const info: OriginClient['info'] = ({ digest }) =>
        world.call(process, site, { bytes: 150, limitMs: infoMs, handle: () => site.info(digest) });
      return [url, { url, info } as unknown as OriginClient];
    }),
  );
  return {
    urls: [...origins.keys()],
    order: (key) => ring.pick(key).map((url) => clients.get(url) as OriginClient),
  };
}

/**
 * The origins that a tracker told of, in the file `origins` of the data directory: an agent that is started while no
 * tracker answers can still pull.
 *
 * Rule 1: it is a hint (platform/members/remembered.ts).
 * Rule 2: it counts only for the cluster, and for one of the trackers at least, that it was written for.
 */

import { join } from 'node:path';
import { type ToldPlace, toldPlaces } from '../core/contracts/members.ts';
import { parse } from '../core/contracts/parse.ts';
import { originsTellable } from '../core/contracts/tracker.ts';
import { OriginFinder } from '../platform/clients/finder.ts';
import type { Finding } from '../platform/host/host.ts';
import type { RoleContext } from '../platform/lifecycle/role.ts';
import { ToldList } from '../platform/members/list.ts';
import type { Membership } from '../platform/members/membership.ts';
import { RememberedFile } from '../platform/members/remembered.ts';
import { realClock } from '../platform/net/clock.ts';
import type { LineLog } from '../platform/telemetry/log.ts';
import type { AgentConfig } from './config.ts';

export type KnownOriginsOptions = {
  /** The data directory; it is ours, and locked. */
  readonly dir: string;
  readonly cluster: string;
  readonly trackers: readonly string[];
  readonly log: Pick<LineLog, 'warn'>;
};

/** `places`: their ids, as far as a tracker told them. */
export type ToldOrigins = { readonly origins: readonly string[]; readonly places: readonly ToldPlace[] };

export class KnownOrigins {
  readonly #options: KnownOriginsOptions;
  readonly #file: RememberedFile<ToldOrigins>;

  constructor(options: KnownOriginsOptions) {
    this.#options = options;
    const file = join(options.dir, 'origins');
    this.#file = new RememberedFile({
      file,
      what: 'origins',
      usable: (found) => this.#usable(found),
      log: options.log,
    });
  }

  /** What was remembered, or undefined. */
  read(): Promise<ToldOrigins | undefined> {
    return this.#file.read();
  }

  /** Remembers them, in the background. */
  write({ origins, places }: ToldOrigins): void {
    const { cluster, trackers } = this.#options;
    this.#file.write({ cluster, trackers, origins, ...(places.length > 0 && { places }) });
  }

  /** What was to be written is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }

  #usable(found: { readonly [key: string]: unknown }): ToldOrigins | undefined {
    const { cluster, trackers, origins, places = [] } = found;
    if (cluster !== this.#options.cluster || !Array.isArray(trackers) || !Array.isArray(origins)) return undefined;
    if (!this.#options.trackers.some((tracker) => trackers.includes(tracker))) return undefined;
    const read = parse(toldPlaces, places, 'places');
    return originsTellable(origins) ? { origins, places: read.ok ? read.value : [] } : undefined;
  }
}

/** The origins, for where no tracker answers: configured, or as a tracker told, now or last time. */
export async function startFinding(
  { config, log, metrics }: RoleContext<AgentConfig>,
  membership: Membership,
  stack: AsyncDisposableStack,
): Promise<Finding> {
  const { data: dir, cluster, trackers } = config;
  const asked = metrics.counter('origin_lookups_total', 'Blobs asked of the origins, for no tracker answered', [
    'result',
  ]);
  const remembered = stack.use(new KnownOrigins({ dir, cluster, trackers, log }));
  const before = config.origins === undefined ? await remembered.read() : undefined;
  membership.ours();
  const list = new ToldList(before?.origins ?? []);
  const origins = config.origins === undefined ? membership.originsOf(list) : await membership.origins(config.origins);
  origins.remember(before?.places ?? []);
  const finder = new OriginFinder({
    origins,
    clock: realClock,
    onFound: (result) => asked.inc({ result }),
  });
  const onOrigins = (urls: readonly string[], places: readonly ToldPlace[]): void => {
    if (config.origins === undefined && list.tell(urls)) log.info({ origins: urls }, 'a tracker told of the origins');
    origins.told(places);
    if (config.origins === undefined) remembered.write({ origins: urls, places: origins.known });
  };
  return { finder, onOrigins };
}

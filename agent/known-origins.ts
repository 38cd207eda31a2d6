/**
 * The origins that a tracker told of, in the file `origins` of the data directory: an agent that is started while no
 * tracker answers can still pull.
 *
 * Rule 1: it is a hint. A file that cannot be used is ignored with one line in the log, and written anew.
 * Rule 2: it counts only for the cluster, and for one of the trackers at least, that it was written for.
 * Rule 3: it is replaced whole, by a rename, and only where something has changed.
 */

import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { originsTellable } from '../core/contracts/tracker.ts';
import { OriginFinder } from '../platform/clients/finder.ts';
import { originMembers } from '../platform/clients/origin.ts';
import type { Finding } from '../platform/host/host.ts';
import type { RoleContext } from '../platform/lifecycle/role.ts';
import { ToldList } from '../platform/members/members.ts';
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

/** More than the longest list takes; what is longer is none of ours. */
const bytesMax = 64 * 1024;

export class KnownOrigins {
  readonly #options: KnownOriginsOptions;
  readonly #file: string;
  #written: string | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: KnownOriginsOptions) {
    this.#options = options;
    this.#file = join(options.dir, 'origins');
  }

  /** What was remembered, or undefined. */
  async read(): Promise<readonly string[] | undefined> {
    const { log } = this.#options;
    try {
      const text = await readFile(this.#file, 'utf8');
      const origins = text.length > bytesMax ? undefined : this.#usable(JSON.parse(text));
      if (origins === undefined) throw new Error('it is of another cluster, or no list of origins');
      this.#written = text;
      return origins;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        log.warn({ file: this.#file, why: (error as Error).message }, 'remembered origins are ignored');
      return undefined;
    }
  }

  /** Remembers them, in the background. */
  write(origins: readonly string[]): void {
    const { cluster, trackers } = this.#options;
    const text = `${JSON.stringify({ cluster, trackers, origins })}\n`;
    if (text === this.#written) return;
    this.#written = text;
    this.#writing = this.#writing.then(() => this.#replace(text));
  }

  /** What was to be written is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }

  async #replace(text: string): Promise<void> {
    try {
      const file = await open(`${this.#file}.new`, 'w');
      try {
        await file.writeFile(text);
        // Else a crash might leave the name and not the bytes.
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(`${this.#file}.new`, this.#file);
    } catch (error) {
      this.#written = undefined;
      this.#options.log.warn({ file: this.#file, why: (error as Error).message }, 'origins cannot be remembered');
    }
  }

  #usable(found: unknown): readonly string[] | undefined {
    const { cluster, trackers, origins } = (found ?? {}) as { [key: string]: unknown };
    if (cluster !== this.#options.cluster || !Array.isArray(trackers) || !Array.isArray(origins)) return undefined;
    if (!this.#options.trackers.some((tracker) => trackers.includes(tracker))) return undefined;
    return originsTellable(origins) ? origins : undefined;
  }
}

/** The origins, for where no tracker answers: configured, or as a tracker told, now or last time. */
export async function startFinding(
  { config, log, metrics }: RoleContext<AgentConfig>,
  stack: AsyncDisposableStack,
): Promise<Finding> {
  const { data: dir, cluster, trackers } = config;
  const asked = metrics.counter('origin_lookups_total', 'Blobs asked of the origins, for no tracker answered', [
    'result',
  ]);
  const remembered = stack.use(new KnownOrigins({ dir, cluster, trackers, log }));
  const list = new ToldList(config.origins ?? (await remembered.read()) ?? []);
  const origins = stack.use(originMembers(list));
  const finder = new OriginFinder({
    origins,
    clock: realClock,
    onFound: (result) => asked.inc({ result }),
  });
  const onOrigins = (urls: readonly string[]): void => {
    if (config.origins !== undefined) return;
    if (list.tell(urls)) log.info({ origins: urls }, 'a tracker told of the origins');
    remembered.write(urls);
  };
  return { finder, onOrigins };
}

/**
 * A configuration whose files are looked at again while the process runs, for those values that may change under it.
 *
 * Rule 1: what cannot be used is told of, file and line, and changes nothing: what was there before stays.
 * Rule 2: values that nobody follows wait for the next start, and the log says so.
 */

import { statSync } from 'node:fs';
import { ConfigError } from '../config/load.ts';
import type { LineLog } from '../telemetry/log.ts';

/** As certificates are (platform/secure/files.ts). */
const lookMs = 5_000;

type Loaded = { readonly config: unknown; readonly files: readonly string[] };

export type ConfigFollowedOptions = {
  readonly loaded: Loaded;
  /** Throws ConfigError. */
  readonly load: () => Loaded;
  /** Of a configuration, what is not followed, as text. */
  readonly rest: (config: unknown) => string;
  readonly log: Pick<LineLog, 'info' | 'warn' | 'error'>;
};

export class ConfigFollowed implements Disposable {
  readonly #options: ConfigFollowedOptions;
  readonly #apply: ((config: unknown) => void)[] = [];
  readonly #looking: NodeJS.Timeout;
  #files: readonly string[];
  #seen: string;
  #rest: string;

  constructor(options: ConfigFollowedOptions) {
    this.#options = options;
    this.#files = options.loaded.files;
    this.#seen = stampOf(this.#files);
    this.#rest = options.rest(options.loaded.config);
    this.#looking = setInterval(() => this.look(), lookMs).unref();
  }

  /** `apply` gets every later configuration that can be used. */
  follow(apply: (config: unknown) => void): void {
    this.#apply.push(apply);
  }

  look(): void {
    const seen = stampOf(this.#files);
    if (seen === this.#seen) return;
    this.#seen = seen;
    const { load, rest, log } = this.#options;
    let loaded: Loaded;
    try {
      loaded = load();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return log.error(
        { problems: error.problems },
        'the configuration has changed, and cannot be used: all is as it was',
      );
    }
    this.#files = loaded.files;
    this.#seen = stampOf(this.#files);
    for (const apply of this.#apply) apply(loaded.config);
    const now = rest(loaded.config);
    if (now === this.#rest) log.info({ files: loaded.files }, 'the configuration has changed: `allow` is followed');
    else
      log.warn({ files: loaded.files }, 'the configuration has changed: but for `allow` it counts from the next start');
    this.#rest = now;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#looking);
  }
}

/** Links are followed: Kubernetes changes those. */
function stampOf(files: readonly string[]): string {
  return files
    .map((file) => {
      const found = statSync(file, { throwIfNoEntry: false });
      return found === undefined ? 'none' : `${found.ino} ${found.size} ${found.mtimeMs}`;
    })
    .join('\n');
}

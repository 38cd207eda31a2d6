/**
 * The keys of each policy, from files that may be renewed under the process.
 *
 * Rule: what was renewed and cannot be used is told once, and the keys from before stay: nobody is let in, nor shut out, by it.
 */

import { StartError } from '../lifecycle/errors.ts';
import type { Time } from '../net/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { KeyedPolicy } from './config.ts';
import type { PolicyTrust } from './judge.ts';
import { keysOf, stateOfKeys } from './keys.ts';

/** As for certificates: nobody changes a key and expects it within less. */
const lookMs = 5_000;

export type KeyRingOptions = { readonly log: Logger; readonly clock: Time };

export class KeyRing {
  readonly #policies: readonly KeyedPolicy[];
  readonly #options: KeyRingOptions;
  #trusts: ReadonlyMap<KeyedPolicy, PolicyTrust>;
  #seen: string;
  #lookedMs: number;

  /** Throws StartError, a line for each key that cannot be used. */
  constructor(policies: readonly KeyedPolicy[], options: KeyRingOptions) {
    this.#policies = policies;
    this.#options = options;
    this.#seen = this.#state();
    this.#trusts = this.#read();
    this.#lookedMs = options.clock.nowMs();
  }

  trust(policy: KeyedPolicy): PolicyTrust {
    return this.#trusts.get(policy) ?? { policy, keys: [] };
  }

  /** Looks at the files, now and then. Whether there are other keys than before. */
  renewed(): boolean {
    const { log, clock } = this.#options;
    if (clock.nowMs() - this.#lookedMs < lookMs) return false;
    this.#lookedMs = clock.nowMs();
    const now = this.#state();
    if (now === this.#seen) return false;
    this.#seen = now;
    try {
      this.#trusts = this.#read();
      log.info('keys of signatures renewed');
      return true;
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      log.error(
        { problems: error.message },
        'keys of signatures were changed, and cannot be used: those from before are',
      );
      return false;
    }
  }

  #read(): ReadonlyMap<KeyedPolicy, PolicyTrust> {
    return new Map(this.#policies.map((policy) => [policy, { policy, keys: keysOf(policy.keys) }]));
  }

  #state(): string {
    return this.#policies.map(({ keys }) => stateOfKeys(keys)).join(' ');
  }
}

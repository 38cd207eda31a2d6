/**
 * Keeps the parts of a cluster up.
 *
 * Rule 1: `start` either brings up every part, or rejects with why, and has ended what it started.
 * Rule 2: parts stop wave by wave, the last wave first, so that an agent can still say goodbye to its tracker.
 */

import { assert } from '../../core/assert.ts';
import { shutdownMsDefault } from '../../platform/config/common.ts';
import { type PartEvent, type PartSpec, SupervisedPart } from './process.ts';

export type SupervisorOptions = {
  /** Waves of parts; all are started at once. */
  readonly waves: readonly (readonly PartSpec[])[];
  readonly onEvent: (event: PartEvent) => void;
  readonly startMs?: number;
  /** For each wave: SIGTERM, and SIGKILL after so long. */
  readonly stopMs?: number;
};

export const startMsDefault = 30_000;
/** What a part has by default to let transfers finish, and a little more: it ends itself by then. */
export const stopMsDefault = shutdownMsDefault + 1_000;

export class Supervisor {
  readonly #waves: readonly (readonly SupervisedPart[])[];
  readonly #options: SupervisorOptions;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#waves = options.waves.map((wave) => wave.map((spec) => new SupervisedPart(spec, options.onEvent)));
  }

  get parts(): readonly SupervisedPart[] {
    return this.#waves.flat();
  }

  part(name: string): SupervisedPart {
    const found = this.parts.find((part) => part.spec.name === name);
    assert(found !== undefined, `there is no part ${name}`);
    return found;
  }

  /** Resolves when every part is ready. */
  async start(): Promise<void> {
    const limitMs = this.#options.startMs ?? startMsDefault;
    try {
      await Promise.all(this.parts.map((part) => part.start(limitMs)));
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Stops every part gracefully within the limit, then by force. */
  async stop(): Promise<void> {
    const limitMs = this.#options.stopMs ?? stopMsDefault;
    for (const wave of this.#waves.toReversed()) await Promise.all(wave.map((part) => part.stop(limitMs)));
  }

  /** Ends every process at once. */
  end(): void {
    for (const part of this.parts) part.end();
  }
}

/**
 * Pins that somebody added to a running process, beside those of its configuration: kept in its data directory.
 *
 * Rule: what was acknowledged is on the disk, synced; what the disk refuses is refused. A file that cannot be read is set
 *   aside by nobody: it is told, and written anew with the next pin that is added.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '../../../core/contracts/errors.ts';
import { pinLengthMax, pinsMax } from '../../../core/contracts/pins.ts';
import { parsePin } from '../../../core/oci/pins.ts';
import { replaceFile } from '../../members/remembered.ts';
import type { LineLog } from '../../telemetry/log.ts';

/** More than so many of the longest take. */
const bytesMax = 512 * 1024;

export class AddedPins {
  readonly #file: string;
  readonly #log: Pick<LineLog, 'warn'>;
  #pins: readonly string[] = [];
  #last: Promise<void> = Promise.resolve();

  constructor(dir: string, log: Pick<LineLog, 'warn'>) {
    this.#file = join(dir, 'pins-added');
    this.#log = log;
  }

  /** Those of before the start. */
  async read(): Promise<readonly string[]> {
    try {
      const text = await readFile(this.#file, 'utf8');
      const found: unknown = text.length > bytesMax ? undefined : JSON.parse(text);
      if (!Array.isArray(found)) throw new Error('it is no list of pins');
      const usable = (pin: unknown): pin is string =>
        typeof pin === 'string' && pin.length <= pinLengthMax && parsePin(pin) !== undefined;
      this.#pins = found.filter(usable).slice(0, pinsMax);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#log.warn(
          { file: this.#file, why: (error as Error).message },
          'pins that were added are not known any more',
        );
    }
    return this.#pins;
  }

  has(pin: string): boolean {
    return this.#pins.includes(pin);
  }

  /** One after the other. ApiError UNAVAILABLE: the disk refuses; nothing has changed. */
  async change(to: (pins: readonly string[]) => readonly string[]): Promise<void> {
    const next = this.#last.then(() => this.#write(to(this.#pins)));
    this.#last = next.catch(() => undefined);
    await next;
  }

  async #write(pins: readonly string[]): Promise<void> {
    try {
      await replaceFile(this.#file, `${JSON.stringify(pins)}\n`);
    } catch (error) {
      throw new ApiError('UNAVAILABLE', `pins cannot be kept in ${this.#file}: ${(error as Error).message}`);
    }
    this.#pins = pins;
  }
}

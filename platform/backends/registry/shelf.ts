/** RegistryManifests that were just asked about, by their bytes: whoever asks whether one is there reads it next. Bounded in bytes and time. */

import { shelfBytesMax, shelfMs } from './limits.ts';

export class ManifestShelf {
  readonly #nowMs: () => number;
  readonly #held = new Map<string, { readonly bytes: Uint8Array; readonly untilMs: number }>();
  #bytes = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get(key: string): Uint8Array | undefined {
    const held = this.#held.get(key);
    return held !== undefined && held.untilMs > this.#nowMs() ? held.bytes : undefined;
  }

  put(key: string, bytes: Uint8Array): void {
    this.#drop(key);
    this.#held.set(key, { bytes, untilMs: this.#nowMs() + shelfMs });
    this.#bytes += bytes.length;
    for (const oldest of this.#held.keys()) {
      if (this.#bytes <= shelfBytesMax) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#bytes -= this.#held.get(key)?.bytes.length ?? 0;
    this.#held.delete(key);
  }
}

/** The newest so many names, each with what is known of it. */
export class NewestKnown<T> {
  readonly #max: number;
  readonly #held = new Map<string, T>();

  constructor(max: number) {
    this.#max = max;
  }

  get(name: string): T | undefined {
    return this.#held.get(name);
  }

  set(name: string, value: T): void {
    this.#held.delete(name);
    this.#held.set(name, value);
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= this.#max) return;
      this.#held.delete(oldest);
    }
  }

  delete(name: string): void {
    this.#held.delete(name);
  }
}

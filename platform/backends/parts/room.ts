/** Bytes that may be held at once, by all who hold some: who comes later waits in turn. */

export class PartRoom {
  #free: number;
  readonly #waiting: { readonly bytes: number; readonly go: () => void }[] = [];
  readonly bytes: number;

  constructor(bytes: number) {
    this.bytes = bytes;
    this.#free = bytes;
  }

  /** Whether there was room, at once, and nobody waits for it. More than there is at all counts as all of it. */
  tryTake(asked: number): boolean {
    const bytes = Math.min(asked, this.bytes);
    if (this.#waiting.length > 0 || this.#free < bytes) return false;
    this.#free -= bytes;
    return true;
  }

  async take(asked: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.tryTake(asked)) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const entry = { bytes: Math.min(asked, this.bytes), go: resolve };
    const leave = (): void => {
      const at = this.#waiting.indexOf(entry);
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      reject(signal.reason);
      this.#admit();
    };
    this.#waiting.push(entry);
    signal.addEventListener('abort', leave, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  give(asked: number): void {
    this.#free += Math.min(asked, this.bytes);
    this.#admit();
  }

  #admit(): void {
    for (let first = this.#waiting[0]; first !== undefined && first.bytes <= this.#free; first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#free -= first.bytes;
      first.go();
    }
  }
}

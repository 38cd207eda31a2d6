/** How late this machine lets a process run: where it is short of processors, what is slow may be that and no fault. */

const everyMs = 100;
/** A pull that failed now was slow a moment ago. */
const keptMs = 5_000;

export class Lateness implements Disposable {
  readonly #timer: NodeJS.Timeout;
  #seen: { readonly atMs: number; readonly lateMs: number }[] = [];

  constructor() {
    let lastMs = performance.now();
    this.#timer = setInterval(() => {
      const atMs = performance.now();
      this.#seen.push({ atMs, lateMs: atMs - lastMs - everyMs });
      this.#seen = this.#seen.filter((it) => it.atMs > atMs - keptMs);
      lastMs = atMs;
    }, everyMs);
  }

  /** The most of the last seconds. */
  get ms(): number {
    return Math.round(Math.max(0, ...this.#seen.map(({ lateMs }) => lateMs)));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

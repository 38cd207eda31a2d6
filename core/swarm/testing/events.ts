/** A queue of things to do by time: a binary heap; equal times in the order they were added. */

type Event = { readonly atMs: number; readonly no: number; readonly run: () => void };

export class Events {
  readonly #heap: Event[] = [];
  #no = 0;

  get size(): number {
    return this.#heap.length;
  }

  get nextMs(): number {
    return this.#heap[0]?.atMs ?? Infinity;
  }

  add(atMs: number, run: () => void): void {
    const heap = this.#heap;
    const event = { atMs, no: this.#no, run };
    this.#no += 1;
    let at = heap.length;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!before(event, heap[up]!)) break;
      heap[at] = heap[up]!;
      at = up;
    }
    heap[at] = event;
  }

  /** The next thing to do, taken out. There must be one. */
  take(): () => void {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    const { length } = heap;
    if (length > 0) {
      let at = 0;
      for (;;) {
        let down = 2 * at + 1;
        if (down >= length) break;
        if (down + 1 < length && before(heap[down + 1]!, heap[down]!)) down += 1;
        if (!before(heap[down]!, last)) break;
        heap[at] = heap[down]!;
        at = down;
      }
      heap[at] = last;
    }
    return first.run;
  }
}

function before(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.no < b.no);
}

/** Why rows of a target failed last, in the words of whoever failed: for operators, as far as this process has tried them. */

import type { OutboxKey } from '../../platform/tags/outbox.ts';
import { rowNameOf } from './loop.ts';
import type { Why } from './queue.ts';

/** 3 MB or so. */
const whysMax = 5_000;
const whyCharsMax = 500;

export class Whys {
  readonly #whys = new Map<string, Why>();

  of(key: OutboxKey): Why | undefined {
    return this.#whys.get(rowNameOf(key));
  }

  remember(key: OutboxKey, { cause, message }: Why): void {
    const name = rowNameOf(key);
    this.#whys.delete(name);
    this.#whys.set(name, { cause, message: message.slice(0, whyCharsMax) });
    for (const oldest of this.#whys.keys()) {
      if (this.#whys.size <= whysMax) break;
      this.#whys.delete(oldest);
    }
  }

  forget(key: OutboxKey): void {
    this.#whys.delete(rowNameOf(key));
  }
}

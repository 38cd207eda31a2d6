/**
 * Acts on several origins at once, until so many copies are made as are wanted.
 *
 * Rule 1: one that fails is replaced by the next in order; one that is silent for `hedgeMs` gets the next beside it.
 * Rule 2: those that do not answer lately are asked only where there are fewer than `required` without them.
 * Rule 3: with the copies made, whoever is still being asked is told to stop (its signal is aborted). With those that
 *         are required made, silent ones are not waited for at all.
 */

import type { CallContext } from './context.ts';
import type { Pulse } from './pulse.ts';

export type CopiesOptions = {
  readonly ctx: CallContext;
  readonly copies: number;
  readonly required: number;
  readonly hedgeMs: number;
};

export type Copies<C> = { readonly done: C[]; readonly failures: unknown[] };

/** Of an origin's client: whether it answers lately. */
type Asked = { readonly pulse: Pick<Pulse, 'silent' | 'doubt'> };
type Act<C> = (client: C, ctx: CallContext) => Promise<unknown>;

/** `order`: those first that answer. Never rejects. */
export function manyAnswers<C extends Asked>(
  order: readonly C[],
  act: Act<C>,
  options: CopiesOptions,
): Promise<Copies<C>> {
  return new Promise((resolve) => new Copying(order, { act, options, resolve }).start());
}

class Copying<C extends Asked> {
  readonly #waiting: C[];
  readonly #act: Act<C>;
  readonly #options: CopiesOptions;
  readonly #resolve: (copies: Copies<C>) => void;
  readonly #running = new Map<C, { stop: AbortController; hedge: NodeJS.Timeout; late: boolean }>();
  readonly #done: C[] = [];
  readonly #failures: unknown[] = [];
  #over = false;

  constructor(order: readonly C[], to: { act: Act<C>; options: CopiesOptions; resolve: (copies: Copies<C>) => void }) {
    this.#waiting = [...order];
    this.#act = to.act;
    this.#options = to.options;
    this.#resolve = to.resolve;
  }

  start(): void {
    const { copies, required } = this.#options;
    while (!this.#over) {
      const [next] = this.#waiting;
      const prompt = [...this.#running.values()].filter(({ late }) => !late).length;
      const expected = this.#done.length + prompt;
      if (next === undefined || expected >= (next.pulse.silent ? required : copies)) break;
      this.#waiting.shift();
      void this.#run(next);
    }
    this.#settle();
  }

  async #run(client: C): Promise<void> {
    const { ctx, hedgeMs } = this.#options;
    const stop = new AbortController();
    const hedge = setTimeout(() => {
      running.late = true;
      client.pulse.doubt();
      this.start();
    }, hedgeMs);
    const running = { stop, hedge, late: false };
    this.#running.set(client, running);
    try {
      await this.#act(client, ctx.withSignal(stop.signal));
      if (!this.#over) this.#done.push(client);
    } catch (error) {
      if (!this.#over) this.#failures.push(error);
    }
    clearTimeout(hedge);
    this.#running.delete(client);
    this.start();
  }

  #settle(): void {
    if (this.#over) return;
    const { copies, required } = this.#options;
    // Whoever is late may be slow, and make one more copy; whoever is known to hang will not.
    const hopeful = [...this.#running.keys()].some((client) => !client.pulse.silent);
    const enough = this.#done.length >= (hopeful ? copies : required);
    if (!enough && this.#running.size > 0) return;
    this.#over = true;
    for (const { stop, hedge } of this.#running.values()) {
      clearTimeout(hedge);
      stop.abort(new Error('the others have it'));
    }
    this.#resolve({ done: this.#done, failures: this.#failures });
  }
}

/**
 * What is asked of several origins at once: to make copies, to prove what they hold; and what it is called where too few
 * of them do.
 *
 * Rule 1: of those that are to make a copy, one that fails is replaced by the next in order; one that is silent for
 *         `hedgeMs` gets the next beside it.
 * Rule 2: those that do not answer lately are asked only where there are fewer than `required` without them.
 * Rule 3: with the copies made, whoever is still being asked is told to stop (its signal is aborted). With those that
 *         are required made, silent ones are not waited for at all.
 * Rule 4: before what the index has condemned is linked, as many origins as a push needs must say that they hold it
 *         whole, each keeping it from then on; only then is the index asked again, with the generation that it named. It
 *         refuses where another origin was told meanwhile. Where it names the same one again, backends are just
 *         deleting it: that takes a moment, and what was proved before it has to be proved again after it.
 * Rule 5: where too few hold it, nothing is linked: whoever wants it pushes it again. Where one that may hold it was not
 *         heard, that is UNAVAILABLE.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../core/contracts/errors.ts';
import { unproved } from '../../core/contracts/index-api.ts';
import { parse } from '../../core/contracts/parse.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import type { CallContext } from './context.ts';
import type { OriginClient } from './origin.ts';
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

/** Questions and answers that cross; each time another origin needed room within the time of two calls. */
const turnsMax = 5;

/** A deletion takes as long as a backend takes to answer; whoever waits for longer comes again (index/gc/deletion.ts). */
const deletionMs = 8_000;
const deletionLookMs = 25;

/** Links by `link`; false: the bytes could not be proved, and nothing has changed. */
export async function linkProved(
  link: (proof: number | undefined) => Promise<unknown>,
  prove: () => Promise<boolean>,
): Promise<boolean> {
  let proof: number | undefined;
  const untilMs = performance.now() + deletionMs;
  for (let turn = 0; turn < turnsMax; ) {
    try {
      await link(proof);
      return true;
    } catch (error) {
      const generation = generationOf(error);
      const deleting = generation === proof;
      proof = generation;
      if (deleting && performance.now() < untilMs) {
        await sleep(deletionLookMs);
        continue;
      }
    }
    if (!(await prove())) return false;
    turn += 1;
  }
  throw new ApiError('UNAVAILABLE', 'origins are removing what nothing links to, this too: try again');
}

/** Of the clients of the origins, what a proof needs. */
export type Provers = {
  readonly required: number;
  order(digest: Digest): readonly Pick<OriginClient, 'prove'>[];
};

/** Whether enough origins hold the blob whole, keep it, and see to it that the repository's backend gets it. */
export function prove(
  origins: Provers,
  blob: BlobIn,
  ctx: CallContext,
  takes: 'short' | 'long' = 'short',
): Promise<boolean> {
  const asked = origins.order(blob.digest);
  const failures: unknown[] = [];
  let [held, left] = [0, asked.length];
  return new Promise<boolean>((resolve, reject) => {
    const ask = async (client: Pick<OriginClient, 'prove'>): Promise<void> => {
      try {
        if (await client.prove(blob, ctx, takes)) held += 1;
      } catch (error) {
        failures.push(error);
      }
      left -= 1;
      if (held >= origins.required) resolve(true);
      else if (left > 0) return;
      else if (failures.length > 0) reject(reasonOf(blob.digest, failures, ctx));
      else resolve(false);
    };
    for (const client of asked) void ask(client);
  });
}

function generationOf(error: unknown): number {
  if (!(error instanceof ApiError) || error.code !== 'BLOB_CONDEMNED') throw error;
  const told = parse(unproved, error.detail, 'detail');
  if (!told.ok) throw error;
  return told.value.generation;
}

function reasonOf(digest: Digest, failures: readonly unknown[], ctx: CallContext): unknown {
  if (ctx.signal.aborted) return ctx.signal.reason;
  return failures.find((error) => !(error instanceof ApiError)) ?? unavailable(digest, failures);
}

/** Whether the origin did not answer, rather than answer no. */
export function silent(error: unknown): boolean {
  return error instanceof ApiError && error.code === 'UNAVAILABLE';
}

/** The failures of several origins as one error. */
export function unavailable(what: string, failures: readonly unknown[]): ApiError {
  const why = failures.map((failure) => (failure as Error).message).join('; ');
  // One failure is told as it is (a full disk, too many uploads), several as one.
  const [first] = failures;
  if (failures.length === 1 && first instanceof ApiError && !silent(first)) return first;
  return new ApiError('UNAVAILABLE', `the origins do not answer for ${what}: ${why}`);
}

/** A push that origins which do not answer hold up: who reads it learns what it needs, and that it can be set. */
export function tooFew(able: number, required: number, why: ApiError): ApiError {
  if (able === 0 || !silent(why)) return why;
  const need = `${required} origins must hold what is pushed (\`push.required\` of the proxy), and ${able} can`;
  return new ApiError('UNAVAILABLE', `${need}: ${why.message}`);
}

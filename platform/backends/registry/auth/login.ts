/**
 * Who we are to a registry: looked up when it is needed, held until shortly before it is over, and looked up again when a
 * registry refuses it.
 *
 * Rule 1: all who need it at once share one look. It has its own time limit; whoever gives up waiting ends nothing for others.
 * Rule 2: whoever was refused asks by naming what it had, and after a refusal it is looked up at most every few seconds.
 */

import { BackendError } from '../../backend.ts';
import type { WebAnswer } from '../../web/answer.ts';
import type { WebCall } from '../../web/call.ts';
import { loginAgainMsMin, loginMs, loginMsMax } from '../limits.ts';

export type RegistryLogin =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  /** Shown to the registry as it is. */
  | { readonly kind: 'bearer'; readonly token: string }
  /** What tokens are had for (docker: `identitytoken`). */
  | { readonly kind: 'identity'; readonly token: string };

/** `login` undefined: there is none for this registry. `forMs`: so long it is good, as far as is known. */
export type LookedUp = { readonly login: RegistryLogin | undefined; readonly forMs?: number | undefined };

/** What a source of logins may use. */
export type SourceOf = {
  readonly backend: string;
  /** Of the registry. */
  readonly base: URL;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stallMs: number;
  readonly request: (call: WebCall) => Promise<WebAnswer>;
};

export type Look = (signal: AbortSignal) => Promise<LookedUp>;

export type LoginSource = {
  /** For messages. */
  readonly name: string;
  readonly look: Look;
  /** It is the same whenever it is looked at. */
  readonly fixed?: boolean;
};

export class RegistryLogins {
  readonly #backend: string;
  readonly #source: LoginSource;
  readonly #nowMs: () => number;
  #held: { readonly looked: LookedUp; readonly atMs: number } | undefined;
  #looking: Promise<RegistryLogin | undefined> | undefined;

  constructor(backend: string, source: LoginSource, nowMs: () => number) {
    this.#backend = backend;
    this.#source = source;
    this.#nowMs = nowMs;
  }

  get name(): string {
    return this.#source.name;
  }

  async get(signal: AbortSignal): Promise<RegistryLogin | undefined> {
    const held = this.#held;
    if (held !== undefined && this.#nowMs() - held.atMs < (held.looked.forMs ?? loginMs)) return held.looked.login;
    return await this.#look(signal);
  }

  /** Another one than `refused`; undefined: there is none. */
  async instead(refused: RegistryLogin | undefined, signal: AbortSignal): Promise<RegistryLogin | undefined> {
    const held = this.#held;
    const just = held !== undefined && this.#nowMs() - held.atMs < loginAgainMsMin;
    const login = this.#source.fixed === true || just ? held?.looked.login : await this.#look(signal);
    return login === undefined || same(login, refused) ? undefined : login;
  }

  async #look(signal: AbortSignal): Promise<RegistryLogin | undefined> {
    this.#looking ??= this.#lookNow().finally(() => {
      this.#looking = undefined;
    });
    return await unlessLeft(this.#looking, signal);
  }

  async #lookNow(): Promise<RegistryLogin | undefined> {
    const late = AbortSignal.timeout(loginMsMax);
    try {
      const looked = await unlessLeft(this.#source.look(late), late);
      this.#held = { looked, atMs: this.#nowMs() };
      return looked.login;
    } catch (error) {
      if (error instanceof BackendError) throw error;
      const why = late.aborted ? `no answer within ${loginMsMax / 1000} s` : (error as Error).message;
      throw new BackendError('credentials', `${this.#backend}: ${this.#source.name}: ${why.slice(0, 500)}`, { error });
    }
  }
}

function same(one: RegistryLogin, other: RegistryLogin | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

export async function unlessLeft<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: left, reject } = Promise.withResolvers<never>();
  const leave = (): void => reject(signal.reason);
  if (signal.aborted) leave();
  signal.addEventListener('abort', leave, { once: true });
  promise.catch(() => undefined);
  return await Promise.race([promise, left]).finally(() => signal.removeEventListener('abort', leave));
}

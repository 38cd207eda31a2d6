/**
 * Names and passwords, as the index has their hashes.
 *
 * Rule 1: who was proved is remembered for a while, by a keyed hash of what he showed and of the hash that it was compared
 *         with: never the password, and not beyond a change of it.
 * Rule 2: a name that nobody has costs what a wrong password costs.
 * Rule 3: many who show the same at once are one comparison.
 */

import { createHmac, randomBytes } from 'node:crypto';
import type { AccessUser } from '../../core/access/documents.ts';
import type { Subject } from '../../core/access/rights.ts';
import type { Guesses } from './guesses.ts';
import type { ProofFrom, Prover } from './prove.ts';

/** Clients ask for a token every few minutes. */
const rememberMs = 10 * 60_000;
/** Some 3 MB. */
const rememberedMax = 10_000;
/** Of nobody's password: what a name that nobody has is compared with. */
const nobodys = '$2b$10$L.2dLJ/DCqU9GcgrwdT4u.Ao19v3YKI9DiMTI7OTcsOXdUKayouuq';

export type PasswordParts = {
  /** Who there is now; undefined: nobody knows. */
  readonly users: () => ReadonlyMap<string, AccessUser> | undefined;
  readonly matches: (password: string, hash: string) => Promise<boolean>;
  readonly guesses: Guesses;
  readonly nowMs: () => number;
  readonly wrong?: (name: string, from: ProofFrom) => void;
};

export class Passwords {
  readonly #parts: PasswordParts;
  readonly #key = randomBytes(32);
  /** Until when. */
  readonly #proved = new Map<string, number>();
  readonly #comparing = new Map<string, Promise<boolean>>();

  constructor(parts: PasswordParts) {
    this.#parts = parts;
  }

  readonly prove: Prover = async (proof, from) => {
    if (proof.kind !== 'basic') return undefined;
    const { users, guesses, nowMs, wrong } = this.#parts;
    const { name, password } = proof;
    const user = users()?.get(name);
    const mark = this.#mark(name, password, user?.password ?? nobodys);
    const now = nowMs();
    if (user !== undefined && (this.#proved.get(mark) ?? 0) > now) return subjectOf(user);
    const running = this.#comparing.get(mark);
    if (running !== undefined) return (await running) && user !== undefined ? subjectOf(user) : undefined;
    const attempt = guesses.begin(from.address, name, now);
    if (typeof attempt === 'number') return 'slow-down';
    const comparing = this.#parts.matches(password, user?.password ?? nobodys);
    this.#comparing.set(mark, comparing);
    try {
      const right = (await comparing) && user !== undefined;
      if (!right) {
        wrong?.(name, from);
        return undefined;
      }
      attempt.right();
      this.#remember(mark, nowMs() + rememberMs);
      return subjectOf(user);
    } catch (error) {
      attempt.void();
      throw error;
    } finally {
      this.#comparing.delete(mark);
    }
  };

  #mark(name: string, password: string, hash: string): string {
    const mac = createHmac('sha256', this.#key);
    for (const part of [name, password, hash]) mac.update(`${Buffer.byteLength(part)}:${part}`);
    return mac.digest('base64');
  }

  #remember(mark: string, untilMs: number): void {
    this.#proved.delete(mark);
    this.#proved.set(mark, untilMs);
    if (this.#proved.size > rememberedMax) this.#proved.delete(this.#proved.keys().next().value as string);
  }
}

function subjectOf({ name, groups }: AccessUser): Subject {
  return { name, groups };
}

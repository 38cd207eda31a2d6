/**
 * What befalls the parts of one cluster: kill -9 and SIGSTOP of each kind of them, drawn from a seed, two at once.
 *
 * Rule: all kinds come once before any comes again; of one target one trouble at a time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Prng } from '../../../../core/prng.ts';
import type { Site } from '../../chaos/bad/site.ts';
import { ROLES, type Role } from '../../chaos/plan/topology.ts';

export type Trouble = {
  readonly target: string;
  readonly what: string;
  /** All is whole again when it resolves; what goes on for a while does so for `forMs`. */
  run(forMs: number): Promise<void>;
};

/** A trouble that was, by the run's clock. */
export type Befallen = { readonly target: string; readonly what: string; readonly fromMs: number; toMs: number };

type Befalling = {
  readonly site: Site;
  readonly engine: readonly Trouble[];
  readonly random: Prng;
  readonly nowMs: () => number;
  readonly say: (text: string) => void;
  /** What was, and goes on, is added to it. */
  readonly befallen: Befallen[];
};

/** Longer than the two seconds that callers wait for a member. */
const forMsMax = 3_000;
const forMsMin = 300;
const restMsMax = 500;
const lanes = 2;
/** Until a target that is in trouble has got over it. */
const waitMs = 50;

/** `rounds` times all kinds. Resolves when all is over. */
export async function befall(rounds: number, befalling: Befalling): Promise<void> {
  const { random, say, befallen } = befalling;
  const busy = new Set<string>();
  const left = Array.from({ length: rounds }, () => shuffled(decked(befalling), random)).flat();
  const lane = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      while (busy.has(next.target)) await sleep(waitMs);
      busy.add(next.target);
      const { target, what } = next;
      say(`${target}: ${what}`);
      const now: Befallen = { target, what, fromMs: befalling.nowMs(), toMs: Number.POSITIVE_INFINITY };
      befallen.push(now);
      await next.run(forMsMin + random.unit() * (forMsMax - forMsMin));
      now.toMs = befalling.nowMs();
      busy.delete(target);
      await sleep(random.unit() * restMsMax);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

function decked({ site, engine, random }: Befalling): Trouble[] {
  const one = (role: Role): string => {
    const names = site.names(role);
    return names[random.below(names.length)] as string;
  };
  return [...ROLES.flatMap((role) => [killOf(site, one(role)), stopOf(site, one(role))]), ...engine];
}

function killOf(site: Site, target: string): Trouble {
  return {
    target,
    what: 'kill -9',
    async run() {
      await site.kill(target);
      await site.start(target);
    },
  };
}

function stopOf(site: Site, target: string): Trouble {
  return {
    target,
    what: 'SIGSTOP',
    async run(forMs) {
      site.signal(target, 'SIGSTOP');
      await sleep(forMs);
      site.signal(target, 'SIGCONT');
    },
  };
}

function shuffled<T>(cards: readonly T[], random: Prng): T[] {
  const left = [...cards];
  return cards.map(() => left.splice(random.below(left.length), 1)[0] as T);
}

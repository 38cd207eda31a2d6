/** Every attack by its name. */

import type { AttackName } from '../options.ts';
import type { Attack, Attacks, Target } from '../target.ts';
import { HELD } from './held.ts';
import { LARGE } from './large.ts';
import { MALFORMED } from './malformed.ts';
import { PEERS } from './peers.ts';

const all: Attacks = { ...HELD, ...LARGE, ...MALFORMED, ...PEERS };

export function attackNamed(name: AttackName): Attack {
  const attack = all[name];
  if (attack === undefined) throw new Error(`there is no attack ${name}`);
  return attack;
}

/** Whether it is for ports of that kind. */
export const hits = (name: AttackName, { kind }: Pick<Target, 'kind'>): boolean =>
  attackNamed(name).kinds.includes(kind);

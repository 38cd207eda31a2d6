/** The `members` part of a role's configuration: how the members that it calls are followed. */

import * as z from 'zod';
import { duration } from '../config/units.ts';
import { type ChecksTiming, checksTiming } from './checks.ts';
import { graceMsDefault } from './members.ts';

/** `check`: how often each member is asked whether it is there. */
export const membersShape = (check = `${checksTiming.everyMs}ms`) => ({
  members: z
    .strictObject({
      /** Each is asked so often whether it is there, and who it is: by an agent only while it has to do with it. */
      check: duration(check, { min: '100ms', why: 'or members do nothing else' }),
      /** Checks in a row that fail before a member is asked last, and that pass before it is asked as others are. */
      fails: z.int().min(1).max(100).prefault(checksTiming.fails),
      passes: z.int().min(1).max(100).prefault(checksTiming.passes),
      /** An origin that left the list keeps its place for so long, and may come back under another address. */
      grace: duration(`${graceMsDefault}ms`, { min: '0s', max: '24h' }),
    })
    .prefault({}),
});

export type MembersConfig = {
  readonly check: number;
  readonly fails: number;
  readonly passes: number;
  readonly grace: number;
};

/** As members are made of it. */
export function followedAs({ check, fails, passes, grace }: MembersConfig): {
  readonly timing: ChecksTiming;
  readonly graceMs: number;
} {
  return { timing: { ...checksTiming, everyMs: check, fails, passes }, graceMs: grace };
}

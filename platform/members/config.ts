/** The `members` part of a role's configuration: how the members that it calls are followed. */

import { isIP } from 'node:net';
import * as z from 'zod';
import { membersMax } from '../../core/contracts/members.ts';
import { baseUrl, duration, parseHostPort } from '../config/units.ts';
import { type ChecksTiming, checksTiming } from './checks.ts';
import { graceMsDefault } from './members.ts';
import { sourceOf } from './source.ts';

/** As resolv.conf has them, and more. */
const resolversMax = 8;

const resolverAt = () =>
  z.string().refine((text) => isIP(text) !== 0 || isIP(parseHostPort(text)?.host ?? '') !== 0, {
    error: 'expected the address of a resolver, such as 10.96.0.10 or 127.0.0.1:5353',
  });

/** One entry of a list: a URL, or where DNS tells of members. */
const memberEntry = () =>
  z.string().transform((text, ctx): string => {
    const source = sourceOf(text);
    if (source !== undefined && source.kind !== 'url') return text;
    const url = baseUrl().safeParse(text);
    if (url.success) return url.data;
    const given = JSON.stringify(text);
    ctx.addIssue({
      code: 'custom',
      message: `expected a URL such as http://127.0.0.1:15003, or dns+http://name:port, or srv+http://_service._tcp.name, got ${given}`,
    });
    return z.NEVER;
  });

/** Members of one role, each once: one that is listed twice would be asked, and counted, twice. */
export const memberEntries = () =>
  z
    .array(memberEntry())
    .max(membersMax)
    .superRefine(
      (entries, ctx) => {
        for (const [i, entry] of entries.entries()) {
          const twice = typeof entry === 'string' && entries.indexOf(entry) < i;
          if (twice) ctx.addIssue({ code: 'custom', path: [i], message: `${entry} is listed twice` });
        }
      },
      // Also of a list in which another one is no URL.
      { when: ({ value }) => Array.isArray(value) },
    );

/** At least one. */
export const someMembers = (fallback: string) => memberEntries().min(1).prefault([fallback]);

/** `check`: how often each member is asked whether it is there. */
export const membersShape = ({ check = `${checksTiming.everyMs}ms`, refresh = '10s' } = {}) => ({
  members: z
    .strictObject({
      /** Each is asked so often whether it is there, and who it is: by an agent only while it has to do with it. */
      check: duration(check, { min: '100ms', why: 'or members do nothing else' }),
      /** Checks in a row that fail before a member is asked last, and that pass before it is asked as others are. */
      fails: z.int().min(1).max(100).prefault(checksTiming.fails),
      passes: z.int().min(1).max(100).prefault(checksTiming.passes),
      /** How often DNS is asked who is there, where a list names it: less often where its answers say that they hold longer. */
      refresh: duration(refresh, { min: '100ms', why: 'or resolvers do nothing else', max: '1h' }),
      /** Resolvers to ask, `address` or `address:port`; none: those of the system. */
      resolver: z.array(resolverAt()).max(resolversMax).prefault([]),
      /** An origin that left the list keeps its place for so long, and may come back under another address. */
      grace: duration(`${graceMsDefault}ms`, { min: '0s', max: '24h' }),
    })
    .prefault({}),
});

export type MembersConfig = {
  readonly check: number;
  readonly fails: number;
  readonly passes: number;
  readonly refresh: number;
  readonly resolver: readonly string[];
  readonly grace: number;
};

/** As members are made of it. */
export function followedAs({ check, fails, passes, grace }: MembersConfig): {
  readonly timing: ChecksTiming;
  readonly graceMs: number;
} {
  return { timing: { ...checksTiming, everyMs: check, fails, passes }, graceMs: grace };
}

/**
 * What every role's configuration has in common. A component spreads `commonShape(role)` into its own
 * z.strictObject, so that the defaults are stated once.
 */

import * as z from 'zod';
import { duration } from './units.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** Components that have a `main.ts` of their own. */
export const ROLES = ['agent', 'origin', 'tracker', 'index', 'proxy'] as const;
export type Role = (typeof ROLES)[number];

export const commonShape = <R extends Role>(role: R) =>
  ({
    role: z.literal(role),
    /** Tells several processes of one role apart in the log; empty: only the role is logged. */
    name: z.string().prefault(''),
    cluster: z.string().min(1).max(64).prefault('default'),
    zone: z.string().max(64).prefault(''),
    log: z.strictObject({ level: z.enum(LOG_LEVELS).prefault('info') }).prefault({}),
    /** How long a graceful stop may take before the process ends anyway. */
    shutdown: duration('10s'),
  }) as const;

/** The part of a configuration that `runRole` itself uses. */
export type CommonConfig = {
  readonly role: Role;
  readonly name: string;
  readonly log: { readonly level: (typeof LOG_LEVELS)[number] };
  readonly shutdown: number;
};

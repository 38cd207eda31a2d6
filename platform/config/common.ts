/**
 * What every role's configuration has in common. A component spreads `commonShape(role)` into its own
 * z.strictObject, so that the defaults are stated once.
 */

import * as z from 'zod';
import { clusterBytesMax, zoneBytesMax } from '../../core/wire/limits.ts';
import { duration } from './units.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** What Kubernetes grants by default; the chart's value, and what `shoal up` grants, are the same. */
export const shutdownMsDefault = 30_000;

/** Components that have a `main.ts` of their own. */
export const ROLES = ['agent', 'origin', 'tracker', 'index', 'proxy'] as const;
export type Role = (typeof ROLES)[number];

/** Peers tell one another these, as the wire carries text. */
const peerText = (name: string, bytesMax: number) =>
  z
    .string()
    .max(bytesMax)
    .regex(/^[\x20-\x7e]*$/, `expected printable ASCII, which is all that a ${name} may have`);

export const commonShape = <R extends Role>(role: R) =>
  ({
    role: z.literal(role),
    /** Tells several processes of one role apart in the log; empty: only the role is logged. */
    name: z.string().prefault(''),
    cluster: peerText('cluster', clusterBytesMax).min(1).prefault('default'),
    zone: peerText('zone', zoneBytesMax).prefault(''),
    log: z.strictObject({ level: z.enum(LOG_LEVELS).prefault('info') }).prefault({}),
    /**
     * Certificates, PEM, as cert-manager and `shoal certs` write them: with it this process shows one wherever it calls or is
     * called, and believes only who shows one of these authorities'. The same for all processes of a cluster, or for none.
     */
    tls: z
      .strictObject({
        /** Authorities that are believed, one or several. */
        ca: z.string().min(1),
        certificate: z.string().min(1),
        key: z.string().min(1),
        /** What authorities have revoked: a list of each of them. */
        crl: z.string().min(1).optional(),
        /**
         * Once a list has expired: `refuse` whoever is of its authority, or `keep` what it names revoked and believe all
         * others, until there is another one.
         */
        crlExpired: z.enum(['refuse', 'keep']).optional(),
      })
      .optional(),
    /** The time from SIGTERM to the end of the process, as its platform grants it: transfers finish meanwhile. */
    shutdown: duration(`${shutdownMsDefault}ms`),
  }) as const;

/** Where the files lie. */
export type TlsConfig = {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  readonly crl?: string | undefined;
  readonly crlExpired?: 'refuse' | 'keep' | undefined;
};

/** The part of a configuration that `runRole` itself uses. */
export type CommonConfig = {
  readonly role: Role;
  readonly name: string;
  readonly cluster: string;
  readonly tls?: TlsConfig | undefined;
  readonly log: { readonly level: (typeof LOG_LEVELS)[number] };
  readonly shutdown: number;
};

/**
 * `store:` of an index's configuration: the engine that holds what the index knows. No library is loaded by this.
 *
 * Rule: without it the index keeps its database in a file under `data`, as it always did.
 */

import * as z from 'zod';
import { sqlServerShape } from '../backends/sql/config.ts';
import { parseHostPort } from '../config/units.ts';
import type { Endpoint } from '../net/net.ts';

/** A primary and its standbys. */
const hostsMax = 8;
const portDefault = 5432;
const nameDefault = 'shoal';

const { database, username, password, passwordFile, tls, connections } = sqlServerShape;

const postgres = z
  .strictObject({
    kind: z.literal('postgres'),
    /** postgres://USER:PASSWORD@HOST:PORT/DATABASE, in place of these; several hosts with commas between. */
    url: z.string().min(1).max(2048).optional(),
    /** HOST or HOST:PORT; a primary and its standbys with commas between: whichever is the primary is written to and read. */
    host: z.string().min(1).max(2048).optional(),
    port: z.int().min(1).max(65_535).prefault(portDefault),
    database: database.optional(),
    username: username.optional(),
    password,
    passwordFile,
    tls,
    connections,
    /** Of the database: that of our tables. It is made where it is missing. */
    schema: z
      .string()
      .regex(/^[a-z_][a-z0-9_]{0,62}$/, 'expected small letters, digits and _, as 63 characters at most')
      .prefault(nameDefault),
  })
  .transform(({ url, host, port, ...said }, ctx): PostgresStore => {
    const wrong = (path: string, message: string): never => {
      ctx.addIssue({ code: 'custom', path: [path], message });
      return z.NEVER;
    };
    const more = (['database', 'username', 'password'] as const).find((key) => said[key] !== undefined);
    if (url !== undefined && (host !== undefined || more !== undefined))
      return wrong('url', `there is a \`${more ?? 'host'}\` as well: leave out one`);
    const at = url === undefined ? { hosts: host ?? '' } : partsOf(url);
    if (at === undefined)
      return wrong('url', 'expected postgres://USER:PASSWORD@HOST:PORT/DATABASE without anything behind it');
    if (at.hosts === '') return wrong('host', 'where is the server? Say `host` or `url`');
    if (said.passwordFile !== undefined && (said.password ?? at.password) !== undefined)
      return wrong('passwordFile', 'there is a `password` as well: leave out one');
    const hosts = at.hosts.split(',').map((one) => endpointOf(one, port));
    const bad = hosts.indexOf(undefined);
    if (bad >= 0)
      return wrong(url === undefined ? 'host' : 'url', `${at.hosts.split(',')[bad]} is no host, nor HOST:PORT`);
    if (hosts.length > hostsMax) return wrong('host', `more than ${hostsMax} are none`);
    const { kind, schema } = said;
    const where = { hosts: hosts.filter((one) => one !== undefined), schema, tls: said.tls };
    return {
      ...{ kind, ...where, connections: said.connections, passwordFile: said.passwordFile },
      database: said.database ?? at.database ?? nameDefault,
      username: said.username ?? at.username ?? nameDefault,
      password: said.password ?? at.password,
    };
  });

export type PostgresStore = {
  readonly kind: 'postgres';
  readonly hosts: readonly Endpoint[];
  readonly database: string;
  readonly username: string;
  readonly password: string | undefined;
  readonly passwordFile: string | undefined;
  readonly tls: z.output<typeof tls>;
  readonly connections: number;
  readonly schema: string;
};

/** Where the engine keeps files. */
const dataDefault = '/var/lib/shoal/index';

export const storeSchema = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('sqlite') }),
    postgres,
    z.strictObject({
      kind: z.literal('bucket'),
      /** The name of a rule of `backends`. */
      backend: z.string().min(1).max(64),
      /** Of all its keys, below the rule's own: two stores in one bucket have one each. */
      prefix: z
        .string()
        .regex(/^([A-Za-z0-9_-][A-Za-z0-9._-]{0,63}\/){1,4}$/, 'expected one to four folders, such as index/')
        .prefault('_shoal/index/'),
    }),
  ])
  .prefault({ kind: 'sqlite' });

export type StoreSettings = z.output<typeof storeSchema>;

/** What of an index's configuration says where its state is. */
export const storeShape = {
  /** Holds the database, where `store` is SQLite. Back this up: it is the truth about tags. */
  data: z.string().min(1).prefault(dataDefault),
  /** The engine that holds what the index knows; several index processes share one of another kind than SQLite. */
  store: storeSchema,
} as const;

type UrlParts = {
  readonly hosts: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly database?: string | undefined;
};

/** Node's URL takes one host only. */
const URL_FORM = /^postgres(?:ql)?:\/\/(?:([^:@/?#]+)(?::([^@/?#]*))?@)?([^@/?#]+)(?:\/([^/?#]*))?$/;

function partsOf(url: string): UrlParts | undefined {
  const found = URL_FORM.exec(url);
  if (found === null) return undefined;
  try {
    const [username, password, hosts = '', name] = found
      .slice(1)
      .map((part: string | undefined) => (part === undefined || part === '' ? undefined : decodeURIComponent(part)));
    return { hosts, username, password, database: name };
  } catch {
    return undefined;
  }
}

function endpointOf(text: string, port: number): Endpoint | undefined {
  const plain = /^[A-Za-z0-9._-]+$/.test(text) || /^\[[0-9A-Fa-f:.]+\]$/.test(text);
  return parseHostPort(plain ? `${text}:${port}` : text);
}

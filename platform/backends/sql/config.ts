/** What a rule may say of a database of tags. No library is loaded by this. */

import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import * as z from 'zod';

/** A server has some hundred for all of its clients. */
const connectionsMax = 64;
const text = z.string().min(1).max(2048);

const both = {
  /** Tables that are missing are made. */
  create: z.boolean().prefault(true),
  /** Versions and deletions, in a table of our own beside Kraken's. */
  records: z.boolean().prefault(true),
};

/** Where a server of a database is, and as whom. */
export const sqlServerShape = {
  host: z
    .string()
    .max(255)
    .regex(/^[A-Za-z0-9.:_-]+$/, 'expected the name or address of a host'),
  database: z.string().min(1).max(64),
  username: z.string().min(1).max(255),
  password: text.optional(),
  /** Read for each connection, so that a new password needs no restart. */
  passwordFile: text.optional(),
  /** true, or with files (PEM): the authority of its certificate, and a certificate of ours with its key. */
  tls: z
    .union(
      [
        z.boolean(),
        z.strictObject({
          ca: text.optional(),
          clientCertificate: z.strictObject({ certificate: text, key: text }).optional(),
        }),
      ],
      'expected true, or ca and clientCertificate',
    )
    .prefault(false),
  connections: z.int().min(1).max(connectionsMax).prefault(8),
} as const;
const server = { ...sqlServerShape, ...both };
const port = (of: number) => z.int().min(1).max(65_535).prefault(of);

export const sqlSchema = z
  .discriminatedUnion('dialect', [
    z.strictObject({ dialect: z.literal('mysql'), port: port(3306), ...server }),
    z.strictObject({ dialect: z.literal('postgres'), port: port(5432), ...server }),
    z.strictObject({
      dialect: z.literal('sqlite'),
      file: z.string().refine(isAbsolute, 'expected an absolute path, such as /var/lib/kraken/tags.db'),
      ...both,
    }),
  ])
  .superRefine((said, ctx) => {
    if (said.dialect === 'sqlite') return;
    if (said.password !== undefined && said.passwordFile !== undefined)
      ctx.addIssue({ code: 'custom', path: ['passwordFile'], message: 'there is a `password` as well: leave out one' });
    // Its library compares a certificate with a name alone, and with `localhost` where there is none.
    if (said.dialect === 'mysql' && said.tls !== false && isIP(said.host) !== 0)
      ctx.addIssue({ code: 'custom', path: ['host'], message: 'with `tls`, name it as its certificate does' });
  });

export type SqlSettings = z.output<typeof sqlSchema>;
export type SqlServerSettings = Exclude<SqlSettings, { dialect: 'sqlite' }>;
export type SqliteSettings = Extract<SqlSettings, { dialect: 'sqlite' }>;

/** What a rule may say of HDFS, and its defaults. */

import * as z from 'zod';
import { parseHostPort } from '../../config/units.ts';
import { webTls } from '../web/config.ts';

/** An active one, its standbys and observers; each is asked in turn while none answers as active. */
const nameNodesMax = 16;
/** What Hadoop takes as a name by default (dfs.webhdfs.user.provider.user.pattern). */
const user = /^[A-Za-z_][A-Za-z0-9._-]*\$?$/;
/** A token has a few hundred characters, and goes in the query of each request. */
const tokenCharsMax = 4096;

const token = z
  .string()
  .max(tokenCharsMax)
  .regex(/^[A-Za-z0-9_-]+={0,2}$/, 'expected the urlString of a delegation token');

export const hdfsSchema = z
  .strictObject({
    /** Where each answers HTTP (dfs.namenode.http-address, or https-address): the one that is active is found out. */
    nameNodes: z
      .array(
        z.string().refine((text) => parseHostPort(text) !== undefined, 'expected HOST:PORT, such as nn1.internal:9870'),
      )
      .min(1)
      .max(nameNodesMax)
      .refine((all) => new Set(all).size === all.length, 'names one of them twice'),
    https: z.boolean().prefault(false),
    /** Exists already; all keys are below it. */
    directory: z
      .string()
      .max(1024)
      .regex(/^(\/[\w.=@~-]+)*\/?$/, 'expected an absolute path of letters, digits and ._=@~- such as /shoal')
      .refine((path) => !/\/\.{1,2}(\/|$)/.test(path), 'has a part that is . or ..')
      .refine((path) => path !== '', 'expected an absolute path, such as /shoal')
      .transform((path) => path.replace(/\/$/, '')),
    /** Below it: where objects are written before they get their names. */
    uploadDirectory: z
      .string()
      .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/, 'expected one name of letters, digits and ._- such as _uploads')
      .prefault('_uploads'),
    /** Who we say that we are, where the cluster believes it (hadoop.security.authentication simple). */
    user: z.string().max(255).regex(user, 'expected the name of a user of HDFS').optional(),
    /** Who we are by a token: itself, or in a file, which is read again where it is refused. */
    delegationToken: z
      .union(
        [z.strictObject({ token }), z.strictObject({ file: z.string().min(1).max(2048) })],
        'expected file or token',
      )
      .optional(),
    ...webTls,
  })
  .superRefine(({ user, delegationToken, https, ca, clientCertificate }, ctx) => {
    const wrong = (path: string, message: string): void => ctx.addIssue({ code: 'custom', path: [path], message });
    if (user === undefined && delegationToken === undefined)
      wrong('user', 'say who asks: `user`, or `delegationToken` where HDFS wants Kerberos');
    if (user !== undefined && delegationToken !== undefined)
      wrong('delegationToken', 'says who asks, as `user` does: leave out one of the two');
    if (!https && ca !== undefined) wrong('ca', 'is of no use without `https: true`');
    if (!https && clientCertificate !== undefined) wrong('clientCertificate', 'is of no use without `https: true`');
  });

export type HdfsSettings = z.output<typeof hdfsSchema>;

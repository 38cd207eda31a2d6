/** What a rule may say of a web server that has blobs. */

import * as z from 'zod';
import { webAuth } from '../web/auth.ts';
import { webTls } from '../web/config.ts';
import { templateProblem } from './template.ts';

/** As browsers do at most; each one is a request more for each blob. */
const redirectsMax = 20;
const headersMax = 32;
const headerName = /^[A-Za-z0-9!#$&'*+.^_`|~-]{1,64}$/;

/** What the request itself needs. */
const OURS: ReadonlySet<string> = new Set([
  ...['authorization', 'range', 'host', 'connection', 'content-length', 'transfer-encoding', 'accept-encoding'],
]);

export const httpSchema = z.strictObject({
  /** Where a blob is: `https://host/blobs/%s`. */
  download: z
    .string()
    .max(2048)
    .superRefine((template, ctx) => {
      const message = templateProblem(template);
      if (message !== undefined) ctx.addIssue({ code: 'custom', message });
    }),
  auth: webAuth.optional(),
  /** Sent along, but never to another origin. */
  headers: z
    .record(
      z.string(),
      z
        .string()
        .max(8192)
        .regex(/^[\t\x20-\x7e]*$/, 'expected printable characters on one line'),
    )
    .superRefine((headers, ctx) => {
      const names = Object.keys(headers);
      if (names.length > headersMax) ctx.addIssue({ code: 'custom', message: `expected at most ${headersMax}` });
      for (const name of names) {
        const message = !headerName.test(name)
          ? 'is no name of a header'
          : OURS.has(name.toLowerCase())
            ? 'is made by Shoal itself: who we are, `auth` says'
            : undefined;
        if (message !== undefined) ctx.addIssue({ code: 'custom', path: [name], message });
      }
    })
    .optional(),
  /** How often an answer may send us elsewhere. */
  redirects: z.int().min(0).max(redirectsMax).prefault(5),
  ...webTls,
});

export type HttpSettings = z.output<typeof httpSchema>;

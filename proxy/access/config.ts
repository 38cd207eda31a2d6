/** What a proxy's configuration says of access: docs/access.md. */

import * as z from 'zod';
import { accessShape } from '../../platform/access/config.ts';
import { duration } from '../../platform/config/units.ts';

export const proxyAccessShape = () =>
  z
    .strictObject({
      ...accessShape(),
      /** How long a token opens what it is for. Who needs longer gets another one. */
      token: duration('5m', { min: '5s', max: '1h' }),
      /** How long a client that asked for one (`docker login` does) gets tokens without showing the password again. */
      refresh: duration('20d', { min: '1m' }),
      /** An EC key (P-256) in PEM, with which tokens are signed. Left out: one that the proxies make and share. */
      key: z.string().min(1).max(4096).optional(),
    })
    .optional();

export type ProxyAccessConfig = NonNullable<z.output<ReturnType<typeof proxyAccessShape>>>;

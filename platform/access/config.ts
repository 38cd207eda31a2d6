/** What a configuration says of access at a registry port, at proxies and agents alike. */

import * as z from 'zod';
import { baseUrl, duration } from '../config/units.ts';

/** What is done once the index has not been reached for `afterMs`. */
export type CutOff = { readonly what: 'keep' | 'refuse'; readonly afterMs: number };

export const accessShape = () => ({
  /** Where clients get tokens: the proxies, as clients reach them. Left out: at a proxy what the client called it, at an agent its `proxy`. */
  realm: baseUrl().optional(),
  /** How far clocks of hosts may be apart. */
  leeway: duration('60s', { min: '0s', max: '10m' }),
  /** Once the index has not been reached for `cutOffAfter`: keep the rules that were told last, or let nobody in. */
  cutOff: z.enum(['keep', 'refuse']).prefault('keep'),
  cutOffAfter: duration('1h', { min: '10s', why: 'as an index may be restarted' }),
});

/** What of a role's configuration is allowed, and probably not meant. */
export function accessOdd({
  access,
  tls,
}: {
  readonly access?: object | undefined;
  readonly tls?: object | undefined;
}): string[] {
  if (access === undefined || tls !== undefined) return [];
  return [
    'access without `tls`: whoever reaches the index reads the hashes of passwords and the key of tokens, and changes rules',
  ];
}

export function cutOffOf(config: { readonly cutOff: 'keep' | 'refuse'; readonly cutOffAfter: number }): CutOff {
  return { what: config.cutOff, afterMs: config.cutOffAfter };
}

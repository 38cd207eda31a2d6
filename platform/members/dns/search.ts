/** Which names a name may stand for, as the system's resolver has it: `/etc/resolv.conf`, `search` and `ndots`. */

import { readFile } from 'node:fs/promises';

export type Search = { readonly domains: readonly string[]; readonly ndots: number };

const file = '/etc/resolv.conf';
const ndotsDefault = 1;
/** As resolvers have them, at most. */
const domainsMax = 16;
const ndotsMax = 15;

export const noSearch: Search = { domains: [], ndots: ndotsDefault };

export async function systemSearch(): Promise<Search> {
  return searchIn(await readFile(file, 'utf8').catch(() => ''));
}

/** The last `search` (or `domain`) line counts. */
export function searchIn(text: string): Search {
  let domains: readonly string[] = [];
  let ndots = ndotsDefault;
  for (const line of text.split('\n')) {
    const [word = '', ...rest] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (word === 'search' || word === 'domain') domains = rest.slice(0, domainsMax).filter((one) => one !== '.');
    if (word !== 'options') continue;
    for (const option of rest) {
      const match = /^ndots:(\d{1,2})$/.exec(option);
      if (match !== null) ndots = Math.min(ndotsMax, Number(match[1]));
    }
  }
  return { domains: domains.map((one) => one.replace(/\.$/, '')), ndots };
}

/** In the order to be asked of. */
export function namesOf(name: string, { domains, ndots }: Search): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const below = domains.map((domain) => `${name}.${domain}`);
  const dots = name.split('.').length - 1;
  return dots >= ndots ? [name, ...below] : [...below, name];
}

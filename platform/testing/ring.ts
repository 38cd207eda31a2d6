/** For tests: who owns a key, of origins that run. */

import { ORIGIN } from '../../core/contracts/origin.ts';
import { Rendezvous } from '../../core/rendezvous/rendezvous.ts';

/** The owners of a key by URL, best first: each of `urls` is asked who it is. */
export async function ownersAmong(urls: readonly string[]): Promise<(key: string, count?: number) => string[]> {
  const known = await Promise.all(
    urls.map(async (url) => {
      const answer = await fetch(url + ORIGIN.identity.path({}));
      return { url, ...ORIGIN.identity.reply(await answer.json(), url) };
    }),
  );
  const byId = new Map(known.map(({ id, url }) => [id, url]));
  const ring = new Rendezvous(known.map(({ id, weight }) => ({ id, weight })));
  return (key, count) => ring.pick(key, count).map((id) => byId.get(id) as string);
}

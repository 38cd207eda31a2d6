/** `shoal pin ls|add|remove`: what agents and origins are told to keep, and whether all of it is there. */

import { PINS, type PinStatus } from '../../core/contracts/pins.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { HttpClient } from '../../platform/clients/http.ts';
import type { HttpTransport } from '../../platform/net/http.ts';
import { Failure } from '../failure.ts';
import { foreignText, table } from '../ui/format.ts';

export type PinsAsked = {
  readonly urls: readonly string[];
  readonly json: boolean;
  readonly signal: AbortSignal;
  /** Default: TCP. */
  readonly transport?: HttpTransport | undefined;
};
type How = Pick<PinsAsked, 'signal' | 'transport'>;

const withinMs = 5_000;

/** Throws Failure where a pin is not complete. */
export async function listPins({ urls, json, ...how }: PinsAsked, say: (line: string) => void): Promise<void> {
  const all = await Promise.all(urls.map(async (url) => ({ url, pins: await ask(url, how) })));
  if (json) say(JSON.stringify({ asked: all }));
  else for (const { url, pins } of all) say(linesOf(url, pins));
  const lacking = all.flatMap(({ pins }) => pins).filter(({ complete }) => !complete).length;
  if (lacking > 0) throw new Failure(`${lacking} ${lacking === 1 ? 'pin is' : 'pins are'} not complete`);
}

export type PinChange = PinsAsked & { readonly pin: string; readonly what: 'add' | 'remove' };

/** Throws Failure where one of them refuses; the others have done it. */
export async function changePins(
  { urls, json, pin, what, ...how }: PinChange,
  say: (line: string) => void,
): Promise<void> {
  const all = await Promise.all(
    urls.map(async (url) => {
      try {
        return { url, pins: await change(url, { pin, what, ...how }) };
      } catch (error) {
        return { url, error: (error as Error).message };
      }
    }),
  );
  if (json) say(JSON.stringify({ asked: all }));
  else for (const { url, pins } of all) if (pins !== undefined) say(linesOf(url, pins));
  const failed = all.flatMap(({ url, error }) => (error === undefined ? [] : [`${url}: ${error}`]));
  if (failed.length > 0) throw new Failure(failed.join('\n'));
}

async function change(
  url: string,
  { pin, what, signal, transport }: Pick<PinChange, 'pin' | 'what'> & How,
): Promise<readonly PinStatus[]> {
  await using client = new HttpClient({ base: url, transport });
  const options = { ctx: CallContext.begin({ signal }), withinMs, tries: 1 };
  const answer =
    what === 'add'
      ? await client.json('PUT', PINS.add.path({}), { ...options, body: { pin } })
      : await client.json('DELETE', PINS.remove.path({ pin }), options);
  return PINS.list.reply(answer, url).pins;
}

async function ask(url: string, { signal, transport }: How): Promise<readonly PinStatus[]> {
  await using client = new HttpClient({ base: url, transport });
  const ctx = CallContext.begin({ signal });
  return PINS.list.reply(await client.json('GET', PINS.list.path({}), { ctx, withinMs, tries: 1 }), url).pins;
}

function linesOf(url: string, pins: readonly PinStatus[]): string {
  if (pins.length === 0) return `${url} pins nothing`;
  const rows = pins.map((one) => [
    foreignText(one.pin),
    one.complete
      ? 'complete'
      : foreignText(
          one.problem ?? (one.blobs === 0 ? 'nothing is of it' : `${one.lacking} of ${one.blobs} blobs are not here`),
        ),
    `${one.bytes}`,
    `${one.lackingBytes}`,
  ]);
  return `${url} pins\n${table([['pin', 'state', 'bytes', 'lacking'], ...rows])}`;
}

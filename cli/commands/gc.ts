/**
 * `shoal gc`: what would go by itself of an index and its origins (docs/gc.md), and with --now has it go at once.
 *
 * Rule: what goes is what has had its grace, by --now as well; one that does not do it is named, and the others go on.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../core/contracts/errors.ts';
import {
  type GcBackends,
  type GcRetention,
  type GcRound,
  type GcStep,
  INDEX_GC,
  ORIGIN_GC,
} from '../../core/contracts/gc/routes.ts';
import { MEMBERS } from '../../core/contracts/members.ts';
import type { Route } from '../../core/contracts/route.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { HttpClient } from '../../platform/clients/http.ts';
import type { HttpTransport } from '../../platform/net/http.ts';
import { Failure } from '../failure.ts';
import { ageText, bytesText, foreignText } from '../ui/format.ts';
import type { Screen } from '../ui/progress.ts';
import { StepsLine } from './steps.ts';

/** How often an origin that is at it is asked how far it is. */
const askMs = 500;
/** A step waits behind the index's other writes. */
const stepStallMs = 60_000;

export type GcOptions = {
  readonly index: string;
  /** One of them, or all: whom it knows is asked as well. */
  readonly origins: readonly string[];
  readonly now: boolean;
  readonly json: boolean;
  readonly signal: AbortSignal;
  readonly screen: Screen;
  /** Default: TCP. */
  readonly transport?: HttpTransport | undefined;
};
type How = Pick<GcOptions, 'signal' | 'transport'>;

/** Throws Failure where one of them did not do it. */
export async function gc(options: GcOptions, say: (line: string) => void): Promise<void> {
  const { index, now, json } = options;
  const failures: string[] = [];
  const told = (who: string, url: string, said: object, text: string): void =>
    say(json ? JSON.stringify({ [who]: url, ...said }) : `${who.padEnd(7)}${url}  ${text}`);
  const step = await ofIndex(options);
  told('index', index, step, indexText(step, now));
  if (!json) for (const rule of step.retention ?? []) say(`${''.padEnd(7)}${ruleText(rule, now)}`);
  const stuck = now ? step.backends?.off : undefined;
  if (stuck !== undefined && step.off === undefined) failures.push(`${index}: ${foreignText(stuck)}`);
  if (step.off !== undefined) failures.push(`${index}: ${foreignText(step.off)}`);
  for (const origin of step.off === undefined || !now ? await originsOf(options) : []) {
    try {
      const round = await ofOrigin(origin, options);
      told('origin', origin, round, originText(round));
      if (round.why !== undefined) failures.push(`${origin}: ${foreignText(round.why)}`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      failures.push(error.message);
    }
  }
  if (!now && !json) say('nothing was changed: --now has it go');
  if (failures.length > 0) throw new Failure(failures.join('; '));
}

async function ofIndex({ index, now, ...how }: GcOptions): Promise<GcStep> {
  let [links, bytes, gone] = [0, 0, 0];
  for (;;) {
    const step = await asked(index, INDEX_GC.step, { apply: now }, how);
    links += step.links;
    bytes += step.bytes;
    gone += step.backends?.gone ?? 0;
    if (step.more) continue;
    return { ...step, links, bytes, ...(step.backends && { backends: { ...step.backends, gone } }) };
  }
}

async function ofOrigin(origin: string, { now, screen, ...how }: GcOptions): Promise<GcRound> {
  const line = new StepsLine(screen);
  let round = await asked(origin, ORIGIN_GC.begin, { apply: now }, how);
  while (round.running) {
    line.draw(`${origin}: ${round.looked} of ${round.of} blobs`);
    await sleep(askMs, undefined, { signal: how.signal });
    round = await asked(origin, ORIGIN_GC.state, undefined, how);
  }
  line.clear();
  return round;
}

/** All that the named ones know of. */
async function originsOf({ origins, ...how }: GcOptions): Promise<string[]> {
  const all = new Set<string>();
  for (const origin of origins) {
    const { lists } = await asked(origin, MEMBERS.status, undefined, how);
    const members = lists.find(({ role }) => role === 'origins')?.members ?? [];
    all.add(origin);
    for (const { url, self } of members) if (url !== undefined && self !== true) all.add(url);
  }
  return [...all];
}

async function asked<B, R>(
  base: string,
  route: Route<Record<never, never>, B, R>,
  body: B,
  { signal, transport }: How,
): Promise<R> {
  await using http = new HttpClient({ base, transport });
  const ctx = CallContext.begin({ signal });
  const how = { ctx, watched: true, stallMs: stepStallMs } as const;
  return route.reply(await http.json<unknown>(route.method, route.path({}), { body, ...how }), base);
}

function indexText({ links, bytes, idle, due, dueBytes, backends }: GcStep, now: boolean): string {
  const [count, size] = now ? [links, bytes] : [due, dueBytes];
  const younger = idle - due;
  const rest = younger > 0 ? `; ${younger} more that nothing refers to are younger than the grace` : '';
  const elsewhere = backends === undefined ? '' : `; ${backendsText(backends, now)}`;
  return `${count} links of blobs ${now ? 'went' : 'would go'} (${bytesText(size)})${rest}${elsewhere}`;
}

function backendsText({ gone, due, waiting, off }: GcBackends, now: boolean): string {
  const younger = waiting > 0 ? `, ${waiting} more wait for their grace` : '';
  const left = now && due > 0 ? `, ${due} could not` : '';
  const why = off === undefined ? '' : ` (${foreignText(off)})`;
  return `from backends ${now ? gone : due} ${now ? 'went' : 'would go'}${left}${younger}${why}`;
}

const dayMs = 86_400_000;

/** `7 d`, where it is days. */
function longText(ms: number): string {
  return ms >= dayMs && ms % dayMs === 0 ? `${ms / dayMs} d` : ageText(ms);
}

function ruleText({ repositories, untaggedMs, gone, due, waiting }: GcRetention, now: boolean): string {
  const younger = waiting > 0 ? `, ${waiting} more are younger` : '';
  const left = now && due > 0 ? `, ${due} did not` : '';
  const what = `untagged for ${longText(untaggedMs)} in ${repositories.map(foreignText).join(', ')}`;
  return `${now ? gone : due} manifests ${what} ${now ? 'went' : 'would go'}${left}${younger}`;
}

function originText({ apply, looked, blobs, bytes, owed, waiting, why }: GcRound): string {
  const rest = [
    ...(owed > 0 ? [`${owed} stay until a backend has them`] : []),
    ...(waiting > 0 ? [`${waiting} are younger than the grace`] : []),
    ...(why === undefined ? [] : [foreignText(why)]),
  ];
  const went = `${blobs} of ${looked} blobs ${apply ? 'went' : 'would go'} (${bytesText(bytes)})`;
  return [went, ...rest].join('; ');
}

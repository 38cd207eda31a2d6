/**
 * Wants: how many pieces each feeder is told that we would take from it. What changes goes out with the next batch;
 * a want that goes from nothing to something does not wait for it.
 */

import type { Inbound } from '../../wire/messages.ts';
import type { Blob, OutLink, Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { OurDownlink, OurFeeder, OurSource } from './ours.ts';
import { inbound, wanted } from './trust.ts';

/** Queues a Wants if its feeder believes the wrong thing about whether we want anything. */
export function review(state: State, source: Source): void {
  const count = wanted(source);
  if ((source.told === 0) === (count === 0)) return;
  if (source.told === 0) state.due.wants = true;
  if (source.queued) return;
  (source as OurSource).queued = true;
  (state.down as OurDownlink).wants.push(source);
  state.batch();
}

export function reviewAll(state: State, blob: Blob): void {
  for (const source of blob.pulling.sources) review(state, source);
}

/** What its feeder hears along with any message about `source`. */
export function toldOf(state: State, source: Source): Inbound & { readonly count: number } {
  (source as OurSource).told = wanted(source);
  const { inPieces, inBytes } = load(state, source.link);
  return { count: source.told, inPieces, inBytes };
}

function load(state: State, link: OutLink): Inbound {
  const told = inbound(state, link);
  (link.feeder as OurFeeder).toldOthers = told.inPieces - flightsOn(link);
  return told;
}

/** Pieces on their way from others, as the feeder on `link` would hear of them now. */
export function othersThan(state: State, link: OutLink): number {
  return inbound(state, link).inPieces - flightsOn(link);
}

function flightsOn({ sources }: OutLink): number {
  let count = 0;
  for (let i = 0; i < sources.length; i += 1) count += sources[i]!.flights.length;
  return count;
}

/** Tells the feeder on `link` what has changed, at once. */
export function tellWants(state: State, link: OutLink): void {
  const swarms: { swarm: number; count: number }[] = [];
  for (const source of link.sources) {
    const count = wanted(source);
    if (count === source.told) continue;
    (source as OurSource).told = count;
    swarms.push({ swarm: source.swarm, count });
  }
  state.send(link, { kind: 'wants', swarms, ...load(state, link) });
}

/** Sends the counts that changed, one message a link; between batches only those that cannot wait. */
export function sendWants(state: State, batch: boolean): void {
  state.due.wants = false;
  const queue = (state.down as OurDownlink).wants;
  if (queue.length === 0) return;
  if (queue.length > 1) queue.sort((a, b) => a.link.no - b.link.no);
  let swarms: { swarm: number; count: number }[] = [];
  let kept = 0;
  for (let i = 0; i < queue.length; i += 1) {
    const source = queue[i] as OurSource;
    if (!batch && source.told > 0) {
      queue[kept] = source;
      kept += 1;
    } else {
      source.queued = false;
      const count = source.state === 'open' || source.state === 'parting' ? wanted(source) : source.told;
      if (count !== source.told) swarms.push({ swarm: source.swarm, count });
      source.told = count;
    }
    if (swarms.length > 0 && queue[i + 1]?.link !== source.link) {
      state.send(source.link, { kind: 'wants', swarms, ...load(state, source.link) });
      swarms = [];
    }
  }
  queue.length = kept;
}

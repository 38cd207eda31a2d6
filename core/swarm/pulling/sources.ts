/**
 * The life of a source (records/lives.ts): the blob as we pull it from one peer.
 *
 * Rule: a closed source stays on its link until the pieces that were on their way have come, for the host must still be
 *   told what they are.
 */

import type { Opened } from '../../wire/messages.ts';
import { fromBytes } from '../records/bits.ts';
import { next, sourceLife } from '../records/lives.ts';
import { takeOut } from '../records/parts.ts';
import { type Edge, type OutLink, Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import { abandon, land } from './flights.ts';
import type { OurLearning, OurPullingLink, OurSource } from './ours.ts';
import { join, leave, review } from './wants.ts';

/** How one begins: `token` and `via` by an edge offer. */
export type Invitation = { readonly token: number; readonly via: Source | undefined };

export function beginSource(state: State, edge: Edge, at: { link: OutLink; swarm: number }, by: Invitation): Source {
  const source = new Source(edge, at.link, at.swarm, { ...by, nowMs: state.nowMs });
  (at.link as OurPullingLink).sources.push(source);
  return source;
}

/** Sends Open as soon as there is a link and a metainfo to size its answer by. */
export function sendOpen(state: State, source: Source): void {
  const { blob, link } = source;
  if (link.state === 'dialling' || blob.stage === 'bare') return;
  if (source.state !== 'waiting' && source.state !== 'offered') return;
  const ours = become(state, source, 'opening');
  const learning = blob.pulling.learning as OurLearning | undefined;
  // How much of a list that grows the feeder knows is heard first.
  const leads = learning !== undefined && learning.lead === undefined && blob.stage === 'rooted';
  if (leads) {
    learning.lead = source;
    learning.askedMs = state.nowMs;
  }
  // One opener at a time asks for what comes unasked, else every feeder sends it.
  ours.gift = leads && blob.heldCount === 0;
  state.send(link, {
    kind: 'open',
    swarm: source.swarm,
    digest: blob.digest,
    token: source.token,
    empty: source.gift,
    needHashes: leads,
  });
}

/** The feeder is full: we are to open it again with this token. */
export function offered(state: State, source: Source, token: number): void {
  become(state, source, 'offered').token = token;
  noLead(source);
}

/** The feeder has answered: from here on the source counts. */
export function opened(state: State, source: Source, { all, have, growing, known }: Opened): void {
  const ours = source as OurSource;
  ours.counted = !growing || source.link.peer.address.role !== 'origin';
  ours.knows = known ?? source.blob.pieces;
  ours.state = next(sourceLife, source.state, 'open');
  // Only a feeder that has it whole when it answers sends it unasked; its later grants are grants.
  if (!all) ours.gift = false;
  join(state, source, all ? 'all' : fromBytes(have, source.blob.pieces));
}

/** The one by whose offer this one came about, once. */
export function takeVia(source: Source): Source | undefined {
  const { via } = source;
  (source as OurSource).via = undefined;
  return via;
}

/** Takes no more pieces from an open source. */
export function partSource(state: State, source: Source): void {
  (source as OurSource).state = next(sourceLife, source.state, 'parting');
  review(state, source);
}

/** What was on its way from `source` is open again. */
export function endSource(state: State, source: Source): void {
  leave(state, source);
  become(state, source, 'closed');
  for (const flight of source.flights) abandon(state, flight);
  noLead(source);
  dropClosed(source);
}

/** A closed source whose last piece has come is forgotten. */
export function dropClosed(source: Source): void {
  if (source.state === 'closed' && source.flights.length === 0)
    takeOut((source.link as OurPullingLink).sources, source);
}

/** The link of a closed source is gone: nothing comes any more. */
export function loseSource(state: State, source: Source): void {
  if (source.flights.length > 0) state.due.loss = true;
  while (source.flights.length > 0) land(state, source.flights[0]!);
  dropClosed(source);
}

function noLead(source: Source): void {
  const learning = source.blob.pulling.learning as OurLearning | undefined;
  if (learning?.lead === source) learning.lead = undefined;
}

function become(state: State, source: Source, to: Source['state']): OurSource {
  const ours = source as OurSource;
  ours.state = next(sourceLife, source.state, to);
  ours.sinceMs = state.nowMs;
  return ours;
}

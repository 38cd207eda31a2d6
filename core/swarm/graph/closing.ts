/**
 * The one place where links end. Other rooms ask for it (`due.closings`); what this room closes itself, it closes by
 * `closeLink`. A link's life: records/lives.ts.
 */

import type { GoodbyeReason } from '../../wire/messages.ts';
import { loseSource } from '../pulling/sources.ts';
import { losePlace } from '../pulling/window.ts';
import { linkLife, next } from '../records/lives.ts';
import type { Link } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { CloseCause } from '../types.ts';
import { closeSink, closeSource, forgetPeer } from './edges.ts';
import type { OurGraph, OurGraphLink, OurPeer } from './ours.ts';

/** Closes what was asked for. */
export function closeDue(state: State): void {
  for (const closing of state.due.closings.splice(0)) {
    const { why } = closing;
    if (closing.kind === 'slow') {
      closeLink(state, closing.link, why, 'slow');
      continue;
    }
    const { peer } = closing;
    state.graph.bans.strike(peer.node, state.nowMs);
    for (const link of [peer.out, peer.in]) if (link !== undefined) closeLink(state, link, why, 'fault');
  }
}

/** What came on `link` broke the protocol. */
export function fault(state: State, link: Link, why: string): void {
  if (link.peer !== undefined) state.graph.bans.strike(link.peer.node, state.nowMs);
  closeLink(state, link, why, 'fault');
}

/** Closes a link by our doing. */
export function closeLink(state: State, link: Link, why: string, reason: GoodbyeReason): void {
  if (link.state === 'closed') return;
  if (link.state !== 'dialling') state.send(link, { kind: 'goodbye', reason });
  const whose = reason === 'fault' || reason === 'slow' ? reason : 'none';
  closed(state, link, why, whose);
}

/** The peer said that it closes it. */
export function onGoodbye(state: State, link: Link, reason: GoodbyeReason): void {
  closed(state, link, `peer said goodbye: ${reason}`, 'none');
}

function closed(state: State, link: Link, why: string, whose: CloseCause): void {
  state.out.push({ kind: 'close', link: link.no, why, whose });
  forgetLink(state, link);
}

/** The link is gone: so is all that it carried. */
export function forgetLink(state: State, link: Link): void {
  (state.graph as OurGraph).links.delete(link.no);
  (link as OurGraphLink).state = next(linkLife, link.state, 'closed');
  const { peer } = link;
  if (link.kind === 'out') {
    losePlace(state, link);
    while (link.sources.length > 0) {
      const source = link.sources[link.sources.length - 1]!;
      closeSource(state, source, false);
      loseSource(state, source);
    }
    if (link.peer.out === link) (link.peer as OurPeer).out = undefined;
  } else {
    while (link.sinks.length > 0) closeSink(state, link.sinks[link.sinks.length - 1]!, undefined);
    if (peer?.in === link) (peer as OurPeer).in = undefined;
  }
  if (peer !== undefined) forgetPeer(state, peer);
}

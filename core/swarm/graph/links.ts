/**
 * The life of a link (records/lives.ts): who may talk to us, which of two links of one node stays, and when one ends.
 * The one place where links end: other rooms ask for it (`due.closings`).
 */

import { PeerFault } from '../../assert.ts';
import { FEATURES } from '../../wire/frames.ts';
import { protocolVersion } from '../../wire/limits.ts';
import type { GoodbyeReason, Hello } from '../../wire/messages.ts';
import { endPuller, heard } from '../feeding/feeder.ts';
import { greetingMs, idleMs, idleMsMany, offerMs, openingMs, silentMs, zombieMs } from '../limits.ts';
import { loseSource, sendOpen } from '../pulling/sources.ts';
import { losePlace } from '../pulling/window.ts';
import { linkLife, next } from '../records/lives.ts';
import { InLink, type Link, type OutLink, type Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { CloseCause, LinkNo } from '../types.ts';
import { addCandidates, closeSink, closeSource, forgetPeer, peerAt } from './edges.ts';
import type { OurGraph, OurGraphLink, OurInLink, OurPeer } from './ours.ts';

// ---- greeting ---------------------------------------------------------------------------------------

/** A link is up: greets. */
export function connected(state: State, no: LinkNo, dialled: boolean): void {
  const link = dialled ? state.dialled(no) : accepted(state, no);
  if (link === undefined) return;
  state.send(link, {
    kind: 'hello',
    version: protocolVersion,
    features: featuresOf(state),
    cluster: state.config.cluster,
    self: state.config.self,
  });
  (link as OurGraphLink).sinceMs = state.nowMs;
  if (link.kind === 'out') {
    (link as OurGraphLink).state = next(linkLife, link.state, 'greeting');
    // Opens ride along with the greeting: a round trip less.
    for (const source of link.sources) if (source.state === 'waiting') sendOpen(state, source);
  } else if (state.graph.links.size > linksMax(state)) {
    // Whoever was told of others needs us no more; whoever comes has yet to be told.
    const done = longestDone(state);
    if (done === undefined) closeLink(state, link, 'too many links', 'full');
    else closeLink(state, done, 'makes room', 'idle');
  }
}

export function onHello(state: State, link: Link, hello: Hello): void {
  if (link.state === 'active') throw new PeerFault('greeted twice');
  const { config, nowMs } = state;
  if (hello.version !== protocolVersion) return closeLink(state, link, `speaks version ${hello.version}`, 'version');
  if (hello.cluster !== config.cluster) return closeLink(state, link, `is of cluster ${hello.cluster}`, 'cluster');
  (link as OurGraphLink).features = featuresOf(state) & hello.features;
  const { node } = hello.self;
  if (node === config.self.node) return closeLink(state, link, 'is ourselves', 'duplicate');
  if (state.graph.bans.banned(node, nowMs)) return closeLink(state, link, 'is banned', 'banned');
  if (link.kind === 'out') return greetedOut(state, link, hello);
  const peer = peerAt(state, hello.self);
  if (peer.in !== undefined) {
    // Either an old one is dead and does not know it, or somebody dials twice.
    if (nowMs - peer.in.puller.heardMs < silentMs) return closeLink(state, link, 'is connected already', 'duplicate');
    closeLink(state, peer.in, 'silent, and its node dialled again', 'duplicate');
  }
  // Closing the old link may have forgotten the peer.
  const current = peerAt(state, hello.self) as OurPeer;
  current.in = link;
  const ours = link as OurInLink;
  ours.peer = current;
  heard(state, link);
  activate(state, link);
}

function activate(state: State, link: Link): void {
  const ours = link as OurGraphLink;
  ours.state = next(linkLife, link.state, 'active');
  ours.sinceMs = state.nowMs;
}

function featuresOf({ config }: State): number {
  return FEATURES.gone | FEATURES.growing | (config.policy.wishes ? FEATURES.wishes : 0);
}

function greetedOut(state: State, link: OutLink, hello: Hello): void {
  if (hello.self.node === link.peer.node) return activate(state, link);
  // Another node listens there now, for it was restarted: dialled again under its own name.
  const { host, port } = link.peer.address;
  for (const { blob } of link.sources) addCandidates(state, blob, [{ ...hello.self, host, port }]);
  closeLink(state, link, 'is another node than expected', 'duplicate');
}

function accepted(state: State, no: LinkNo): InLink {
  const link = new InLink(no, state.up.pullers, state.nowMs);
  (state.graph as OurGraph).links.set(no, link);
  return link;
}

/** The accepted link that has had nothing to carry for longest, after its peer has asked for something. */
function longestDone(state: State): InLink | undefined {
  let done: InLink | undefined;
  for (const link of state.graph.links.values()) {
    if (link.kind !== 'in' || link.state !== 'active' || link.sinks.length > 0 || link.swarmMax < 0) continue;
    if (done === undefined || link.sinceMs < done.sinceMs) done = link;
  }
  return done;
}

/** Two for each neighbour, and room for those who are about to be told no. */
function linksMax(state: State): number {
  return 2 * state.config.policy.neighboursMax + 64;
}

// ---- waiting, and being idle ------------------------------------------------------------------------

/** Closes what waits too long, or carries nothing any more. */
export function tendLink(state: State, link: Link): void {
  const ageMs = state.nowMs - link.sinceMs;
  const idle = state.graph.peers.size > state.config.policy.neighboursMax ? idleMsMany : idleMs;
  if (link.state !== 'active') {
    if (ageMs > greetingMs) closeLink(state, link, 'no greeting', 'slow');
  } else if (link.kind === 'in') {
    if (link.sinks.length === 0 && ageMs > 2 * idle) closeLink(state, link, 'idle', 'idle');
  } else if (link.sources.length === 0) {
    if (ageMs > idle) closeLink(state, link, 'idle', 'idle');
  } else {
    // Backwards, for it may end them; should it close the link, none is left to look at.
    for (let i = link.sources.length - 1; i >= 0; i -= 1) {
      const source = link.sources[i];
      if (source !== undefined) tendSource(state, source);
    }
  }
}

function tendSource(state: State, source: Source): void {
  const ageMs = state.nowMs - source.sinceMs;
  if (source.state === 'opening' && ageMs > openingMs) closeSource(state, source, true);
  if (source.state === 'offered' && ageMs > offerMs) closeSource(state, source, true);
  if (source.state !== 'closed') return;
  const quietMs = state.nowMs - Math.max(source.sinceMs, source.link.feeder.arrivedMs);
  if (quietMs > zombieMs) closeLink(state, source.link, 'a piece made no progress', 'slow');
}

// ---- closing ----------------------------------------------------------------------------------------

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
    endPuller(link);
  }
  if (peer !== undefined) forgetPeer(state, peer);
}

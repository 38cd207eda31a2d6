/** Hello and goodbye: who may talk to us, and which of two links of one node stays. */

import { PeerFault } from '../../assert.ts';
import { FEATURES } from '../../wire/frames.ts';
import { protocolVersion } from '../../wire/limits.ts';
import type { Hello } from '../../wire/messages.ts';
import { heard } from '../feeding/feeder.ts';
import { silentMs } from '../limits.ts';
import { sendOpen } from '../pulling/sources.ts';
import { linkLife, next } from '../records/lives.ts';
import { InLink, type Link, type OutLink } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { LinkNo } from '../types.ts';
import { addCandidates } from './candidates.ts';
import { closeLink } from './closing.ts';
import { peerAt } from './edges.ts';
import type { OurGraph, OurGraphLink, OurInLink, OurPeer } from './ours.ts';

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
  return FEATURES.gone | (config.policy.wishes ? FEATURES.wishes : 0);
}

function greetedOut(state: State, link: OutLink, hello: Hello): void {
  if (hello.self.node === link.peer.node) return activate(state, link);
  // Another node listens there now, for it was restarted: dialled again under its own name.
  const { host, port } = link.peer.address;
  for (const { blob } of link.sources) addCandidates(state, blob, [{ ...hello.self, host, port }]);
  closeLink(state, link, 'is another node than expected', 'duplicate');
}

function accepted(state: State, no: LinkNo): InLink {
  const link = new InLink(no, state.nowMs);
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

/**
 * A tracker that lies while faults last: of who has a blob, and of whether anybody has. Whoever asks it may wait, ask others,
 * or fail; it may get nothing wrong.
 */

import type { AnnounceAnswer, AnnounceReply } from '../../../core/contracts/tracker.ts';
import type { PeerAddress } from '../../../core/wire/messages.ts';
import { strangeAddress } from '../peers/random-message.ts';
import type { World } from '../world.ts';

/** The answer as it leaves, of one in three. `peers`: some that there are. */
export function lied(world: World, reply: AnnounceReply, peers: readonly PeerAddress[]): AnnounceReply {
  if (world.faultsOver) return reply;
  return { ...reply, answers: reply.answers.map((answer) => (world.once(3) ? lieOf(world, answer, peers) : answer)) };
}

function lieOf(world: World, answer: AnnounceAnswer, peers: readonly PeerAddress[]): AnnounceAnswer {
  world.fault('a tracker lies');
  const strange = (): PeerAddress => strangeAddress({ prng: world.prng, contents: [], peers });
  switch (world.prng.below(4)) {
    case 0:
      return { ...answer, peers: Array.from({ length: world.prng.below(9) }, strange) };
    case 1:
      return { ...answer, peers: answer.peers.map((peer) => ({ ...peer, node: strange().node })) };
    case 2:
      return { digest: answer.digest, peers: [], error: 'unavailable', why: 'a lie' };
    default:
      return { ...answer, peers: [...answer.peers, ...answer.peers].slice(0, 9) };
  }
}

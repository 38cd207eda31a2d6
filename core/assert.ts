/**
 * Whose failure it is. A `Bug` is a broken invariant of ours and ends the process; a `PeerFault`
 * is something a peer did and ends one connection. Nothing else is caught "just in case".
 */

/** A broken invariant of our own. Never caught: the process ends and is started anew. */
export class Bug extends Error {
  override readonly name = 'Bug';
}

/** A peer broke the protocol. Costs that peer its connection, with `reason` counted and logged. */
export class PeerFault extends Error {
  override readonly name = 'PeerFault';
}

export function assert(ok: boolean, why: string): asserts ok {
  if (!ok) throw new Bug(why);
}

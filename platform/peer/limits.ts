/** Limits and times of the driver; the wire's are in core/wire/limits.ts, the swarm's in core/swarm/limits.ts. */

import { greetingMs } from '../../core/swarm/limits.ts';

/** Frame headers land here, and no more than this of a payload, which is then copied: under 2 percent of a piece. */
export const scratchBytes = 4 * 1024;
/** Bytes that a link's socket has and has not written: covers the kernel's appetite between two callbacks. */
export const socketBytesMax = 1024 * 1024;
/** Control frames that wait for a peer that does not read; ten times what a large blob's hash list takes. */
export const controlBytesMax = 16 * 1024 * 1024;
/** Payload of swarms that we closed while it was on its way, before a link that sends it is given up. */
export const skippedBytesMax = 256 * 1024 * 1024;
/** A quarter of the memory for sending is the most that one neighbour holds, and one piece always. */
export const sendShareOfLink = 0.25;

/** Within a data centre a SYN is answered in a millisecond; two lost ones are forgiven. */
export const connectMs = 3_500;
/** No byte of a piece that has begun, not the rest of a frame, or none taken of what we send. */
export const stalledMs = 5_000;
export const patience = { greetingMs, stalledMs } as const;
/** A peer that opens a blob waits so long for our disk; then it hears that we cannot feed it now, and asks others. */
export const holdMs = 500;
/** What was sent before a close has this long to leave. */
export const closingMs = 1_000;
/** How long goodbyes may take on a shutdown. */
export const goodbyeMs = 300;
/** Who was sent a piece so lately is still being fed. */
export const feedingMs = 1_000;
/** How often links and waiters are looked at. */
export const sweepMs = 250;

/** Accepted links, all and per address; a host runs one agent, a test machine many. */
export const acceptedMax = 1_024;
export const acceptedPerAddressMax = 256;
/** Reasons that get a counter of their own; a peer chooses none of them. */
export const faultReasonsMax = 100;

/** A blob without progress for this long rejects those who wait; the pull goes on. */
export const stallMsDefault = 60_000;
/** The same where no origin and no other node is known to hold the blob whole: nobody waits long for what is nowhere. */
export const orphanStallMs = 3_000;
/** A pull that somebody waits for and that brings nothing asks its trackers after so long; again after twice as long. */
export const askAfterMs = 1_000;
export const askAfterMsMax = 16_000;
/** A blob of which bytes came within this time is said to be on its way. */
export const receivingMs = 3_000;
/** Metainfo and hash list that did not come by then reject those who wait; the pull goes on. */
export const learnMsDefault = 15_000;
/** A pull that learned nothing in this long, and that nobody waits for, ends. */
export const forgottenMs = 60_000;
/** Slower than this no link lives: peers give up those that do not move. */
export const limitBytesPerSMin = 100_000;
/** A limited downlink is asked for what it carries in this time, and for this much always. */
export const downWindowMs = 500;
export const downWindowBytesMin = 1024 * 1024;
/** 300 MB/s, where the configuration does not say. */
export const uplinkBytesPerSDefault = 300_000_000;
/** A piece that the disk would not read is looked at again this often, until it comes from elsewhere. */
export const rereadMs = 10_000;
/** A whole blob that no peer opened for this long leaves the swarm's tables; it is found again when one does. */
export const idleBlobMs = 120_000;

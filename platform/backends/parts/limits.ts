/** What large objects hold and wait for on their way in parts, at most. */

/** Parts that are being written or read ahead, over all objects of a backend, in bytes: 16 of 8 MiB each way. */
export const roomBytes = 128 * 1024 * 1024;
/** Of one part or range, at once; then the whole call fails, and whoever called tries again later. */
export const partAttemptsMax = 3;
/** Before the second attempt at a part, doubled each time. */
export const partPauseMs = 200;
/** A server that asks for more is left to whoever retries the whole call. */
export const partPauseMsMax = 5_000;
/** The last parts of a read become as small as this: smaller ones would cost more in round trips than they bring. */
export const lastPartBytesMin = 2 * 1024 * 1024;
/** Of a part's size: with each so many bytes that were given one more part is read beside the first. 2 MiB of 8: some pieces. */
export const rampShare = 1 / 4;

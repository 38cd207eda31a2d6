/** What a database of tags holds, waits and is asked for, at most. */

/** Kraken's columns, in characters. Of the key of a record: the longest is of a repository and a digest of SHA-512. */
export const tagColumns = { repository: 255, tag: 128, imageId: 2056 } as const;
export const recordKeyMax = 512;
/** As for other servers: a host that is there answers a SYN within one or two retransmissions. */
export const sqlConnectMsMax = 5_000;
/** An idle connection is closed by us after so long: proxies between cut those that are idle for minutes. */
export const sqlIdleMs = 30_000;
/** A file that another process writes to just now: this thread stands still for so long, and then it is tried later. */
export const sqliteBusyMs = 50;
/** Of a call that finds a tag neither there nor to be made: somebody else makes and removes it. */
export const sqlTurnsMax = 3;

/** What PostgreSQL is given of time, at most. */

/** A host that is there answers in milliseconds. It is less than callers give a read of the index. */
export const pgConnectMs = 1_000;
/** Of a read of few rows; callers of the index wait two seconds. */
export const readMs = 1_500;
/** Of what an operator asks: counts of a million rows. */
export const operatorReadMs = 10_000;
/** A server that has been away for so long is not waited for: a restart, or a failover that is quick, nobody notices. */
export const graceMs = { read: 700, write: 5_000 } as const;
/** Between two looks whether a server that is away is back. */
export const lookMs = 250;
/** One attempt of a group of writes, waiting for the others' included. */
export const attemptMs = 4_000;
/** How long it is tried to find out whether a group was done whose answer was lost. Clients of a push wait longer. */
export const doubtMs = 15_000;
/**
 * A transaction in which nothing comes is ended by the server: its index hangs, or was cut off, and all others wait for its
 * lock. Less than `lockMs`, so that those get through, and than callers wait for an index that says nothing (platform/tags/hangs.ts).
 */
export const idleInTransactionMs = 1_500;
export const lockMs = 3_500;
/** Of the server, for whatever one statement does. */
export const statementMs = 30_000;
/** How long an index that starts waits for its server. */
export const startMs = 60_000;
/** A connection that nobody used for so long is closed: proxies between cut those that are idle for minutes. */
export const idleConnectionMs = 30_000;
/** Calls that wait for a connection: more than the server answers in their patience. */
export const connectionWaitersMax = 10_000;

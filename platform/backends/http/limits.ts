/** What is read in vain of a server without ranges, at most. */

/** To begin a read further on, what is before it is read and left; a blob of more is begun anew at another time. */
export const passedOverBytesMax = 1024 * 1024 * 1024;
/** Of what is skipped, so much at a time is told to whoever watches that something moves. */
export const passedOverToldBytes = 4 * 1024 * 1024;

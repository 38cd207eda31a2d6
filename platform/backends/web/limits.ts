/** What a request to a server of others waits for and takes of it, at most. */

/** As for S3: a host that is there answers a SYN within one or two retransmissions; a handshake takes a few round trips. */
export const webConnectMsMax = 5_000;
/** As often as `stallMs` a server may be silent once it has all of a body: it may have to store it. */
export const storedStalls = 4;
/** Connections to one host. How much is asked at once is limited by whoever calls; this only has to be more. */
export const webSocketsMax = 256;
/** Of an answer's head: Node's own limit, and more than any registry, store or proxy needs. */
export const headBytesMax = 16 * 1024;
/** Of the body of an error, to find in it what it says. */
export const errorBytesMax = 64 * 1024;
/** Of an answer that is read as a whole: 1,000 names with what is said of them, or a token. */
export const answerWholeBytesMax = 8 * 1024 * 1024;
/** Of what a server says, in a message of ours. */
export const wordsMax = 300;
/** Of a body that nobody wants, so that the connection is used again; a longer one is closed. */
export const discardBytesMax = 64 * 1024;

/** What the S3 backend holds, waits and asks for, at most. */

/** Connections to one host. A request that waits for a free one would count as one that cannot connect: more than run. */
export const socketsMax = 256;
/** As elsewhere in AWS's tools, a little less: a host that is there answers a SYN within one or two retransmissions. */
export const connectMsMax = 5_000;
/** S3's own limit. */
export const partsMax = 10_000;
/** Uploads of one key that are looked at for parts to go on with. Who began more than these has other troubles. */
export const uploadsLookedAt = 3;
/** Of an answer that is no object: 1,000 keys of 1,024 bytes, each written as %XX, and what is said of them are 4 MB. */
export const answerBytesMax = 16 * 1024 * 1024;
/** Pages of uploads, of parts, or without keys, that are read: 10,000 parts are 10 pages of 1,000; more never end. */
export const listPagesMax = 12;
/** An upload that is aborted is not worth waiting longer for. */
export const abortUploadMsMax = 5_000;
/** Keys that were refused are looked up again at most so often: a wrong key in a file is read once a while, not each time. */
export const reloadMsMin = 5_000;

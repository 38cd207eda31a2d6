/** What the GCS backend holds, waits and asks for, at most. */

/** Google's own: each request of a resumable upload but the last has a multiple of it. */
export const quantumBytes = 256 * 1024;
/** Uploads that were cut off and may be gone on with, over all objects; the oldest is forgotten, and Google drops it. */
export const sessionsMax = 256;
/** Google keeps an upload for a week; one that is about to go is begun anew. */
export const sessionMsMax = 6 * 24 * 3_600_000;
/** An upload is gone on with after so many cuts at most, as long as each of them leaves the server with more than the last. */
export const uploadCutsMax = 64;
/** An upload that is given up is not worth waiting longer for. */
export const cancelMsMax = 5_000;
/** Pages without keys that are passed over in a row; a list of more never ends. */
export const emptyPagesMax = 12;
/** Keys that were refused are looked up again at most so often: a wrong key in a file is read once a while, not each time. */
export const renewMsMin = 5_000;
/** A token: the metadata server answers at once, and a token endpoint of Google's within a second or two. */
export const tokenMsMax = 20_000;

/** What the Azure backend holds, waits and asks for, at most. */

/** Azure's own limit on what a blob is made of. */
export const blocksMax = 50_000;
/** Credentials that were refused are looked up again at most so often: a wrong one in a file is read once a while. */
export const accessReloadMsMin = 5_000;
/** A token: the metadata service answers at once, and a login of Azure's within a second or two. */
export const identityMsMax = 20_000;
/** Keys of one answer; Azure's own limit. Few requests where a list begins in the middle, and no place is known there. */
export const skippedKeysMax = 5_000;
/** Requests for one page: Azure has no way to begin after a key, so that one without a known place is looked for from the start. */
export const listRequestsMax = 1_000;
/** Places in lists that are remembered, so that the next page begins there. */
export const placesMax = 1_024;

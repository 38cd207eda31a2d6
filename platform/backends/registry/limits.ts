/** What a registry as a backend takes and holds, at most. */

/** Redirects of one download: a registry, its storage, a network in front of that. */
export const registryHopsMax = 5;
/** Larger ones go by PATCH, so that what was cut is gone on with. */
export const wholeUploadBytesMax = 8 * 1024 * 1024;
/** In a row, without a byte: an upload is gone on with so often before it fails. */
export const vainUploadsMax = 3;
/** An upload that nobody goes on with is given up there; who waits for that waits no longer. */
export const giveUpMsMax = 5_000;
/** RegistryManifests that were just asked about, by their bytes: the largest image's index and all of its manifests. */
export const shelfBytesMax = 16 * 1024 * 1024;
/** From being asked about until it is read. */
export const shelfMs = 5_000;
/** What a tag was on when it was asked about, for the read that follows at once. */
export const tagMs = 1_000;
/** Digests and repositories of which something is known: 200 bytes each. */
export const rememberedPlacesMax = 20_000;
/** Repositories of a catalogue, and tags of a repository, which are sorted in memory: 100 MB at worst. */
export const namesMax = 500_000;
/** Names on one page: what most registries give at most. */
export const namesPageMax = 1_000;
/** A list is read page by page, and each of ours costs no new one of theirs. */
export const listedMs = 30_000;
/** Repositories whose tags are held meanwhile. */
export const listedMax = 4;

/** Tokens, each of a repository and what may be done there. */
export const tokensMax = 1_000;
/** What a token lives for where nobody says (the specification of tokens): seconds. */
export const tokenSecondsDefault = 60;
/** It is renewed so long before its end, or a fifth of its life before, whichever is less. */
export const tokenMarginMs = 30_000;
/** A credential helper, or a cloud, has so long to answer. */
export const loginMsMax = 20_000;
/** Bytes that a credential helper says, and a configuration of docker has, at most. */
export const helperBytesMax = 1024 * 1024;
/** What a file or a helper said is asked again after so long. */
export const loginMs = 300_000;
/** After a refusal it is looked at again, but not more often than so. */
export const loginAgainMsMin = 5_000;
/** Of one request: a token that was over, then a login that was. */
export const refusalsMax = 2;
/** That it is a registry is known for so long. */
export const provedMs = 60_000;
/** What a cloud gives is asked for again so long before it is over. */
export const cloudMarginMs = 300_000;
/** Whatever a cloud says of its end, it is not asked for more often. */
export const cloudLoginMsMin = 60_000;
/** One question at a time is asked of a cloud. */
export const cloudSocketsMax = 4;

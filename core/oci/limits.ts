/** Limits of the registry interface, each stated once. */

/** The limit, and what most registries take (OCI distribution 1.1 asks for at least 4 MiB). */
export const manifestBytesMax = 4 * 1024 * 1024;
/** With host and slash most clients stop at 255; OCI distribution 1.1, "Pulling manifests". */
export const repositoryLengthMax = 255;
/** OCI distribution 1.1: a tag is at most 128 characters. */
export const tagLengthMax = 128;
/** Entries of one page of tags or repositories; a client that asks for more gets a Link to the next page. */
export const pageEntriesMax = 10_000;
/** Entries of one page of referrers: with annotations a page stays below the 4 MiB that clients read of an index. */
export const referrersPageMax = 1000;
/** RFC 6838: type and subtype at most 127 characters each. */
export const mediaTypeLengthMax = 255;
/** Tags that one manifest PUT by digest may set with ?tag=. */
export const pushTagsMax = 32;

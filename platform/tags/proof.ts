/** What was found of an index's store, before a start, where it can be used (prove.ts). */

import type { Proven } from '../lifecycle/proof.ts';

/** `lacks`: what it has not got yet, though it may be used. */
export type StoreProof = { readonly proven: Proven; readonly lacks: readonly string[] };

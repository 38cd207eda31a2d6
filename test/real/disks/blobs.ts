/** The blobs that are pushed: small ones and some of several pieces, each as its number decides. */

import { type Blob, blobOf } from '../../../platform/store/store.fixtures.ts';

const sizes = [500, 3_000, 70_000, 300_000, 1_200_000] as const;

export function blobNo(no: number): Blob {
  return blobOf((sizes[no % sizes.length] as number) + no, 10_000 + no);
}

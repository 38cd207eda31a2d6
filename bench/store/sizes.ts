/** How large `bench store` is. */

export type StoreSizes = {
  /** Of the store that is started. */
  readonly blobs: number;
  /** That are put, read and evicted one by one. */
  readonly small: number;
  readonly smallBytes: number;
};

export const fullStore: StoreSizes = { blobs: 1_000_000, small: 10_000, smallBytes: 4_096 };
export const smallStore: StoreSizes = { blobs: 20_000, small: 500, smallBytes: 4_096 };

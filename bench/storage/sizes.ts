/** How much each measure of `bench storage` moves: as the issue names it, or small enough for every change. */

const mebibyte = 2 ** 20;

export type StorageSizes = {
  /** Of each blob, bytes. */
  readonly blob: number;
  readonly rounds: number;
  readonly firstBytes: number;
  /** Bytes a second of the backend, where it is slow. */
  readonly rates: readonly number[];
  /** Of a bucket that is imported: ten objects each. */
  readonly tags: number;
};

export const fullStorage: StorageSizes = {
  blob: 1024 * mebibyte,
  rounds: 3,
  firstBytes: 10,
  rates: [25e6, 100e6],
  tags: 100_000,
};
export const smallStorage: StorageSizes = {
  blob: 64 * mebibyte,
  rounds: 1,
  firstBytes: 3,
  rates: [100e6],
  tags: 1_000,
};

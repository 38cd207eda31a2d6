/** How much each measure of `bench pull` moves: as the issue names it, or small enough for every change. */

const mebibyte = 2 ** 20;

export type PullSizes = {
  /** Of the blob that one agent pulls, bytes. */
  readonly blob: number;
  /** Of a blob that is read warm, cold for its first byte, or pulled by ten. */
  readonly read: number;
  readonly ten: number;
  readonly rounds: number;
  readonly firstBytes: number;
  readonly smallBlobs: number;
  /** Of each kind. */
  readonly handshakes: number;
};

export const fullSizes: PullSizes = {
  blob: 4096 * mebibyte,
  read: 1024 * mebibyte,
  ten: 1024 * mebibyte,
  rounds: 5,
  firstBytes: 100,
  smallBlobs: 10_000,
  handshakes: 2_000,
};

export const smallSizes: PullSizes = {
  blob: 512 * mebibyte,
  read: 256 * mebibyte,
  ten: 64 * mebibyte,
  rounds: 2,
  firstBytes: 10,
  smallBlobs: 1_000,
  handshakes: 300,
};

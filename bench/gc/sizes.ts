/** How large `bench gc` is. */

export type GcSizes = {
  /** That the origin holds, manifests among them; a tenth is garbage. */
  readonly blobs: number;
  /** In each of which a part of the garbage is collected. */
  readonly rounds: number;
  /** Of pushes without collection, in each round. */
  readonly beforeMs: number;
  /** For so long nothing goes that was deleted. A machine that stands still for longer has pushes begin anew. */
  readonly graceMs: number;
  /** `gc.rate`: blobs that the origin asks about in a second at most, and links that go in one. */
  readonly rate: number;
};

/** More than any comes to. */
const anyRate = 100_000;

export const fullGc: GcSizes = { blobs: 60_000, rounds: 3, beforeMs: 6_000, graceMs: 3_000, rate: anyRate };
export const smallGc: GcSizes = { blobs: 1_000, rounds: 1, beforeMs: 500, graceMs: 1_000, rate: anyRate };

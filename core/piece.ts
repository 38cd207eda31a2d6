/**
 * How a blob is cut into pieces, and what is hashed.
 *
 * A piece is one or more units of 256 KiB. The hash of a unit is the BLAKE3 of its bytes. The hash
 * of a piece is the hash of its unit where the piece length is one unit, else the BLAKE3 of its
 * units' hashes, concatenated. So an origin that receives an upload of unknown length hashes each
 * unit once as it arrives, and chooses the piece length when it knows the size: no second read.
 * The two forms cannot be confused, since length and piece length come with the root (Metainfo).
 */

export const unitBytes = 256 * 1024;
export const pieceLengthMin = unitBytes;
export const pieceLengthMax = 16 * 1024 * 1024;
/** About 500 to 2,000 pieces a blob: the start of a swarm costs about log2(hosts) pieces. */
export const piecesTarget = 2048;
/** BLAKE3, bytes. */
export const hashBytes = 32;
/** 100 TiB at 16 MiB pieces would be more; such a blob is refused. */
export const piecesMax = 1 << 20;

/** What a peer needs to know of a blob before its first piece. `root` is BLAKE3 of the piece-hash list, hex. */
export type Metainfo = {
  readonly length: number;
  readonly pieceLength: number;
  readonly root: string;
};

/**
 * What is known of a blob that an origin still receives: the first `known` hashes of its list are right, and `root` is the
 * BLAKE3 of these, hex. Length and piece length are final. The last piece and its hash are withheld until the origin has
 * compared the digest: then the blob has Metainfo, as any other.
 */
export type Growth = {
  readonly length: number;
  readonly pieceLength: number;
  /** Less than the blob has pieces; 0 at first. */
  readonly known: number;
  readonly root: string;
};

/** The piece length for a blob of `length` bytes: a power of two from 256 KiB to 16 MiB. */
export function pieceLengthFor(length: number): number {
  let pieceLength = pieceLengthMin;
  while (pieceLength < pieceLengthMax && length > pieceLength * piecesTarget) pieceLength *= 2;
  return pieceLength;
}

export function pieceCount(meta: { length: number; pieceLength: number }): number {
  return Math.ceil(meta.length / meta.pieceLength);
}

/** Bytes of piece `index`; the last may be short. */
export function pieceBytes(meta: { length: number; pieceLength: number }, index: number): number {
  return Math.min(meta.pieceLength, meta.length - index * meta.pieceLength);
}

export function sameMetainfo(one: Metainfo, two: Metainfo): boolean {
  return one.length === two.length && one.pieceLength === two.pieceLength && one.root === two.root;
}

/** Whether `meta`, which may come from a stranger, can be a blob's. */
export function metainfoValid(meta: Metainfo): boolean {
  return (
    Number.isSafeInteger(meta.length) &&
    meta.length >= 0 &&
    Number.isInteger(meta.pieceLength) &&
    meta.pieceLength >= pieceLengthMin &&
    meta.pieceLength <= pieceLengthMax &&
    (meta.pieceLength & (meta.pieceLength - 1)) === 0 &&
    pieceCount(meta) <= piecesMax &&
    /^[0-9a-f]{64}$/.test(meta.root)
  );
}

/** Whether `growth`, which may come from a stranger, can be of a blob that grows. */
export function growthValid(growth: Growth): boolean {
  const { known } = growth;
  return metainfoValid(growth) && Number.isInteger(known) && known >= 0 && known < pieceCount(growth);
}

/**
 * How a file that somebody else has comes to be a blob of ours: a name or clone of it, read back whole under that name.
 *
 * Rule 1: it counts once its bytes were the digest's, and nobody wrote to the file while they were read.
 * Rule 2: nothing is ever written to it. Its list of piece hashes lies beside it, and is there first.
 */

import { type Digest, digestAlgorithm, digestHex } from '../../../core/digest.ts';
import { type Metainfo, metainfoValid, pieceLengthFor } from '../../../core/piece.ts';
import { blake3Hex } from '../../workers/hash.ts';
import { IoFailure, type PieceIo } from '../../workers/piece-io.ts';
import { type Disk, diskError, unlinkIfThere, writeWhole } from '../disk/disk.ts';
import type { BlobFile } from '../layout.ts';
import { type BeforeRead, listOfBytes, storedDigest } from '../stored.ts';
import { type How, identityOf, shareFile } from './files.ts';

export type TakingParts = { readonly disk: Disk; readonly io: PieceIo };
/** `from`: the other's file. `aside`: where ours is until it counts. `list`: where it is known already. */
export type TakingOf = {
  readonly digest: Digest;
  readonly from: string;
  readonly aside: string;
  readonly known: { readonly meta: Metainfo; readonly hashes: Uint8Array } | undefined;
  readonly signal: AbortSignal;
  readonly pace: BeforeRead | undefined;
};
/** `fd` is the caller's. */
export type TakenFile = {
  readonly how: How;
  readonly id: string;
  readonly meta: Metainfo;
  readonly hashes: Uint8Array;
  readonly fd: number;
};

/** Why it is no blob of ours: its bytes are another digest's, or there are more than a blob can have. */
export class NotTheBlob extends Error {}

/** Throws NotTheBlob, NotShareable, what the disk says (EAGAIN: it was written to meanwhile; ECANCELED); nothing of it stays then. */
export async function takeFile({ disk, io }: TakingParts, of: TakingOf): Promise<TakenFile> {
  const how = await shareFile(of.from, of.aside);
  let fd: number | undefined;
  try {
    const { id } = await identityOf(how === 'link' ? of.aside : of.from);
    fd = await disk.open(of.aside, 'read');
    const before = await disk.stat(of.aside);
    const found = await verified(io, of, { fd, length: before.size });
    if ((await disk.stat(of.aside)).id !== before.id) throw diskError('EAGAIN', 'read', of.from);
    return { how, id, fd, ...found };
  } catch (error) {
    if (fd !== undefined) await disk.close(fd);
    await unlinkIfThere(disk, of.aside);
    throw error;
  }
}

async function verified(
  io: PieceIo,
  of: TakingOf,
  { fd, length }: { readonly fd: number; readonly length: number },
): Promise<{ meta: Metainfo; hashes: Uint8Array }> {
  const reading = { fd, signal: of.signal, pace: of.pace };
  const size = { length, pieceLength: pieceLengthFor(length) };
  if (!metainfoValid({ ...size, root: '0'.repeat(64) }))
    throw new NotTheBlob(`${length} bytes are more than a blob has`);
  const hex = await storedDigest(io, { ...reading, length, algorithm: digestAlgorithm(of.digest) });
  if (hex instanceof IoFailure) throw diskError(hex.errno, 'read', of.from);
  if (hex !== digestHex(of.digest)) throw new NotTheBlob(`its bytes are ${hex}`);
  if (of.known?.meta.length === length) return of.known;
  const hashes = await listOfBytes(io, size, reading);
  if (hashes instanceof IoFailure) throw diskError(hashes.errno, 'read', of.from);
  return { meta: { ...size, root: blake3Hex(hashes) }, hashes };
}

/** Gives a taken file its names. */
export async function nameTaken(
  disk: Disk,
  aside: string,
  { file, hashes }: { file: BlobFile; hashes: Uint8Array },
): Promise<void> {
  const list = file.list.path;
  await writeWhole(disk, `${aside}.list`, { bytes: hashes, synced: false });
  await disk.rename(`${aside}.list`, list);
  await disk.rename(aside, file.whole);
  // Where both are names of one file a rename leaves both.
  await unlinkIfThere(disk, aside);
}

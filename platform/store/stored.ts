/** Reads back what is stored, whole: to make sure of it. */

import { ApiError } from '../../core/contracts/errors.ts';
import { type Digest, type DigestAlgorithm, digestAlgorithm, digestHex } from '../../core/digest.ts';
import { hashBytes, type Metainfo, pieceBytes, pieceCount, unitBytes } from '../../core/piece.ts';
import type { PieceMemory } from '../workers/arena.ts';
import { blake3Hex, pieceHash } from '../workers/hash.ts';
import { IoFailure, type PieceIo } from '../workers/piece-io.ts';
import { refusal } from './disk/errors.ts';
import type { BlobEntry } from './pieces/entry.ts';

/** Read at a time; the next is read while this one is waited for. */
const readBytes = 4 * unitBytes;
const readsAtOnce = 2;
const nothing = new Uint8Array(0);

/** Awaited before so many bytes are read, by who does it in the background. */
export type BeforeRead = (bytes: number) => Promise<void>;
type Reading = { readonly signal?: AbortSignal | undefined; readonly pace?: BeforeRead | undefined };

/** Why the stored bytes of `entry` cannot be taken for its digest's: ApiError DIGEST_INVALID, or what the disk says. */
export async function storedProblem(
  io: PieceIo,
  entry: BlobEntry,
  fd: number,
  reading: Reading = {},
): Promise<ApiError | undefined> {
  const { digest, meta, changes } = entry;
  const hex = await storedDigest(io, { fd, length: meta.length, algorithm: digestAlgorithm(digest), ...reading });
  if (hex instanceof IoFailure) return refusal(digest, hex.errno);
  if (hex === digestHex(digest)) return undefined;
  // The list is wrong only if every piece still matches it. What has decayed meanwhile comes again; the rest stays.
  await verifyHeld(entry, io.arena);
  const decayed = entry.pieces - entry.heldCount;
  if (decayed > 0) return new ApiError('UNAVAILABLE', `${digest}: ${decayed} of its pieces have decayed on the disk`);
  // Others find bad pieces at the same time, and they come again: then the bytes were not of one state of the file.
  if (entry.changes !== changes) return new ApiError('UNAVAILABLE', `${digest}: it was mended while it was read back`);
  return new ApiError(
    'DIGEST_INVALID',
    `${digest}: the pieces match the list that came with them, but the bytes are ${hex}`,
  );
}

/** The digest of the file's first `length` bytes, lower-case hex; ECANCELED once the signal is aborted. */
export async function storedDigest(
  io: PieceIo,
  of: { fd: number; length: number; algorithm: DigestAlgorithm } & Reading,
): Promise<string | IoFailure> {
  const stream = io.hashStream(of.algorithm);
  const size = Math.min(readBytes, io.arena.shareBytes('reader'));
  const running: Promise<'ok' | IoFailure>[] = [];
  let failure: IoFailure | undefined;
  const settle = async (most: number): Promise<void> => {
    while (running.length > most) {
      const verdict = await running.shift();
      if (verdict instanceof IoFailure) failure = verdict;
    }
  };
  for (let position = 0; position < of.length; position += size) {
    const bytes = Math.min(size, of.length - position);
    // In the background one at a time is under way: whoever comes meanwhile waits for no more.
    await settle(of.pace === undefined ? readsAtOnce - 1 : 0);
    await of.pace?.(bytes);
    if (of.signal?.aborted) failure = new IoFailure('ECANCELED');
    if (failure !== undefined) break;
    const slot = await io.arena.acquire('reader', bytes);
    running.push(stream.appendStored({ fd: of.fd, position, slot }).finally(() => slot.release()));
  }
  await settle(0);
  if (failure === undefined) return await stream.finish();
  stream.abort();
  return failure;
}

export function listDamaged(digest: Digest): ApiError {
  return new ApiError(
    'UNAVAILABLE',
    `${digest}: its list of piece hashes is damaged, and its bytes do not give it again`,
  );
}

/**
 * The piece-hash list as the stored bytes give it, one piece read at a time; undefined where they do not give the blob's
 * root. Hashed here, not by the worker, which only tells whether a hash is the expected one: it is rare.
 */
export async function storedList(io: PieceIo, meta: Metainfo, fd: number): Promise<Uint8Array | undefined> {
  const list = await listOfBytes(io, meta, { fd });
  return list instanceof Uint8Array && blake3Hex(list) === meta.root ? list : undefined;
}

/** The same of bytes whose root is not known. */
export async function listOfBytes(
  io: PieceIo,
  meta: Pick<Metainfo, 'length' | 'pieceLength'>,
  { fd, signal, pace }: { readonly fd: number } & Reading,
): Promise<Uint8Array | IoFailure> {
  const list = new Uint8Array(pieceCount(meta) * hashBytes);
  for (let piece = 0; piece < pieceCount(meta); piece += 1) {
    await pace?.(pieceBytes(meta, piece));
    if (signal?.aborted) return new IoFailure('ECANCELED');
    const slot = await io.arena.acquire('reader', pieceBytes(meta, piece));
    try {
      const job = { fd, slot, position: piece * meta.pieceLength, expected: nothing, believed: true };
      const verdict = await io.readVerify(job);
      if (verdict !== 'ok') return verdict instanceof IoFailure ? verdict : new IoFailure('EIO');
      list.set(pieceHash(slot.parts(), meta.pieceLength > unitBytes), piece * hashBytes);
    } finally {
      slot.release();
    }
  }
  return list;
}

/** Once its list of piece hashes is in memory, or turned out not to be readable: what that means for the entry is done by then. */
export async function haveList(entry: BlobEntry): Promise<void> {
  try {
    await entry.listed();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

/** Reads every piece that the entry believes to hold; those that do not verify are held no longer. */
export async function verifyHeld(entry: BlobEntry, arena: PieceMemory): Promise<void> {
  for (let piece = 0; piece < entry.pieces && !entry.gone; piece += 1) {
    if (entry.has(piece)) await look(entry, piece, arena);
  }
}

/** Reads a piece, whether the entry believes to hold it or not: afterwards it is held if it verifies. */
export async function look(entry: BlobEntry, piece: number, arena: PieceMemory): Promise<void> {
  const slot = await arena.acquire('reader', pieceBytes(entry.meta, piece));
  try {
    await (entry.has(piece) ? entry.read(piece, slot) : entry.reread(piece, slot));
  } finally {
    slot.release();
  }
}

/** As the store's `restore`. */
export async function restoreBlob(
  entry: BlobEntry,
  by: {
    readonly arena: PieceMemory;
    readonly lists: { restore(entry: BlobEntry): Promise<boolean> };
    readonly becoming: { complete(entry: BlobEntry): Promise<boolean> };
  },
): Promise<boolean> {
  if (entry.complete || entry.gone || entry.growth !== undefined) return entry.complete;
  if (!entry.file.partial && (await by.lists.restore(entry)))
    for (const piece of entry.unread) await look(entry, piece, by.arena);
  // Every piece may be here, and the disk have refused the last step.
  if (!entry.complete && entry.heldCount === entry.pieces) await by.becoming.complete(entry);
  return entry.complete;
}

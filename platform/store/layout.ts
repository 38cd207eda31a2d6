/**
 * Where things lie in a data directory, and what their names say.
 *
 *   version                      `ROLE N`: whose it is and of which format
 *   lock                         held by the process that uses the directory
 *   pid                          that process, for the message to the next one
 *   access                       digests, least recently used first; a hint
 *   origins                      an agent's: whom it asks where no tracker answers; a hint (agent/known-origins.ts)
 *   blobs/sha256/ab/NAME         a complete blob: its bytes, then its piece-hash list
 *   blobs/sha256/ab/NAME.part    the same, with pieces missing
 *   blobs/sha256/ab/NAME.have    which pieces the .part holds; a hint, since every read verifies
 *   uploads/ID                   an upload, or a blob whose list of piece hashes grows; removed at the next start
 *   quarantine/                  what could not be understood, moved aside for a human
 *
 * NAME is `hex.length.pieceLengthLog2.root`. So the name alone tells all that must be known at
 * start (100,000 blobs are 256 directory reads), and one rename makes a blob, whole, from nothing.
 */

import { type Digest, digestAlgorithm, digestHex, digestOf, parseDigest } from '../../core/digest.ts';
import { hashBytes, type Metainfo, metainfoValid, pieceCount } from '../../core/piece.ts';

export const formatVersion = 1;
export const ALGORITHM_DIRECTORIES = ['sha256', 'sha512'] as const;
export const partSuffix = '.part';
export const haveSuffix = '.have';

export class Layout {
  readonly dir: string;
  readonly version: string;
  readonly lock: string;
  readonly pid: string;
  readonly access: string;
  readonly blobs: string;
  readonly uploads: string;
  readonly quarantine: string;

  constructor(dir: string) {
    this.dir = dir;
    this.version = `${dir}/version`;
    this.lock = `${dir}/lock`;
    this.pid = `${dir}/pid`;
    this.access = `${dir}/access`;
    this.blobs = `${dir}/blobs`;
    this.uploads = `${dir}/uploads`;
    this.quarantine = `${dir}/quarantine`;
  }

  /** The directory that holds the blob. */
  shard(digest: Digest): string {
    return `${this.blobs}/${digestAlgorithm(digest)}/${digestHex(digest).slice(0, 2)}`;
  }

  blob(digest: Digest, meta: Metainfo): string {
    return `${this.shard(digest)}/${blobName(digest, meta)}`;
  }

  file(digest: Digest, meta: Metainfo, partial: boolean): BlobFile {
    return new BlobFile(this, { digest, meta }, partial);
  }

  /** One whose metainfo is not known yet, and so no name that a start would find. */
  growing(digest: Digest, size: { readonly length: number; readonly pieceLength: number }, no: number): BlobFile {
    const file = this.file(digest, { ...size, root: '' }, true);
    file.growing = this.upload(`growing-${no}`);
    return file;
  }

  upload(id: string): string {
    return `${this.uploads}/${id}`;
  }
}

export function blobName(digest: Digest, meta: Metainfo): string {
  return `${digestHex(digest)}.${meta.length}.${Math.log2(meta.pieceLength)}.${meta.root}`;
}

/** What a name says; undefined where `blobName` did not make it. */
export function parseBlobName(
  algorithm: (typeof ALGORITHM_DIRECTORIES)[number],
  name: string,
): { digest: Digest; meta: Metainfo } | undefined {
  const [hex, length, log2, root, ...rest] = name.split('.');
  if (hex === undefined || length === undefined || log2 === undefined || root === undefined || rest.length > 0)
    return undefined;
  const digest = digestOf(algorithm, hex);
  const meta = { length: Number(length), pieceLength: 2 ** Number(log2), root };
  if (parseDigest(digest) === undefined || !metainfoValid(meta)) return undefined;
  return blobName(digest, meta) === name ? { digest, meta } : undefined;
}

/** Bytes on disk of a blob: its own and those of its hash list. */
export function bytesOnDisk(meta: Metainfo): number {
  return meta.length + pieceCount(meta) * hashBytes;
}

/** Where a blob lies now. The path is put together when it is asked for: a store may hold 100,000 of these. */
export class BlobFile {
  partial: boolean;
  /** Where it lies while its list of piece hashes grows. */
  growing: string | undefined;
  unlinked = false;
  /** Whether there may be a file that says which pieces are held. */
  hinted = true;
  readonly #layout: Layout;
  #of: { readonly digest: Digest; readonly meta: Metainfo };

  constructor(layout: Layout, of: { readonly digest: Digest; readonly meta: Metainfo }, partial: boolean) {
    this.#layout = layout;
    this.#of = of;
    this.partial = partial;
  }

  /** It does not grow any more, and has been renamed so. */
  named(meta: Metainfo, partial: boolean): void {
    this.#of = { digest: this.#of.digest, meta };
    this.partial = partial;
    this.growing = undefined;
  }

  get path(): string {
    if (this.growing !== undefined) return this.growing;
    return this.partial ? this.whole + partSuffix : this.whole;
  }

  get whole(): string {
    return this.#layout.blob(this.#of.digest, this.#of.meta);
  }

  get part(): string {
    return this.whole + partSuffix;
  }

  get have(): string {
    return this.whole + haveSuffix;
  }
}

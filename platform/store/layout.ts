/**
 * Where things lie in a data directory, and what their names say.
 *
 *   version                      `ROLE N`: whose it is and of which format
 *   lock                         held by the process that uses the directory
 *   pid                          that process, for the message to the next one
 *   contents                     which blobs are here, least recently used first; a hint (contents.ts)
 *   access                       the same of releases before
 *   volumes                      ids of the volumes that it has had, and their paths
 *   origins                      an agent's: whom it asks where no tracker answers; a hint (agent/known-origins.ts)
 *   blobs/sha256/ab/NAME         a complete blob: its bytes, then its piece-hash list
 *   blobs/sha256/ab/NAME.part    the same, with pieces missing
 *   blobs/sha256/ab/NAME.have    which pieces the .part holds; a hint, since every read verifies
 *   scrub                        how far the reading back of it all is; a hint (platform/host/scrub/progress.ts)
 *   shared/NAME                  an agent's: a blob that a container runtime on this host has as well, its own bytes only
 *   shared/NAME.list             its piece-hash list (shared/shared.ts)
 *   uploads/ID                   an upload, or a blob whose list of piece hashes grows; removed at the next start
 *   quarantine/                  what could not be understood, moved aside for a human
 *
 * A blob lies whole on one volume, a directory with blobs/, uploads/ and quarantine/ as above: a rename ends at a file
 * system. The data directory is volume 0.
 *
 * NAME is `hex.length.pieceLengthLog2.root`. So the name alone tells all that must be known at
 * start (a million blobs are 256 directory reads), and one rename makes a blob, whole, from nothing.
 */

import { Bug } from '../../core/assert.ts';
import { type Digest, digestAlgorithm, digestHex, digestOf, parseDigest } from '../../core/digest.ts';
import { hashBytes, type Metainfo, metainfoValid, pieceCount } from '../../core/piece.ts';

export const formatVersion = 1;
/** The data directory's. */
export const dataVolume = 0;
export const ALGORITHM_DIRECTORIES = ['sha256', 'sha512'] as const;
export const partSuffix = '.part';
export const haveSuffix = '.have';
export const listSuffix = '.list';

/** Where blobs lie on one file system. */
export class VolumeLayout {
  readonly dir: string;
  readonly version: string;
  readonly lock: string;
  readonly pid: string;
  readonly blobs: string;
  readonly uploads: string;
  readonly shared: string;
  readonly quarantine: string;
  /** Its id; the data directory has none (volumes/identity.ts). */
  readonly mark: string;

  constructor(dir: string) {
    this.dir = dir;
    this.version = `${dir}/version`;
    this.lock = `${dir}/lock`;
    this.pid = `${dir}/pid`;
    this.blobs = `${dir}/blobs`;
    this.uploads = `${dir}/uploads`;
    this.shared = `${dir}/shared`;
    this.quarantine = `${dir}/quarantine`;
    this.mark = `${dir}/volume`;
  }
}

export class Layout {
  readonly dir: string;
  readonly access: string;
  readonly contents: string;
  /** Volumes that the store has had (volumes/identity.ts). */
  readonly known: string;
  /** By number; at most 255 (a blob's place is one byte). The first is the data directory. */
  readonly volumes: readonly VolumeLayout[];

  constructor(dir: string, others: readonly string[] = []) {
    this.dir = dir;
    this.access = `${dir}/access`;
    this.contents = `${dir}/contents`;
    this.known = `${dir}/volumes`;
    this.volumes = [dir, ...others].map((path) => new VolumeLayout(path));
  }

  volume(no: number): VolumeLayout {
    const volume = this.volumes[no];
    if (volume === undefined) throw new Bug(`layout: there is no volume ${no}`);
    return volume;
  }

  /** The directory that holds the blob, if the volume does. */
  shard(digest: Digest, volume: number): string {
    return `${this.volume(volume).blobs}/${digestAlgorithm(digest)}/${digestHex(digest).slice(0, 2)}`;
  }

  blob(digest: Digest, meta: Metainfo, volume: number): string {
    return `${this.shard(digest, volume)}/${blobName(digest, meta)}`;
  }

  file(digest: Digest, meta: Metainfo, at: BlobPlace): BlobFile {
    return new BlobFile(this, { digest, meta }, at);
  }

  /** One whose metainfo is not known yet, and so no name that a start would find. */
  growing(digest: Digest, size: BlobSize, at: { readonly volume: number; readonly no: number }): BlobFile {
    const file = this.file(digest, { ...size, root: '' }, { volume: at.volume, partial: true });
    file.growing = this.upload(`growing-${at.no}`, at.volume);
    return file;
  }

  upload(id: string, volume: number): string {
    return `${this.volume(volume).uploads}/${id}`;
  }
}

type BlobSize = Pick<Metainfo, 'length' | 'pieceLength'>;
/** `shared`: its bytes are somebody else's file, too, and are never written to; the list lies beside them. */
export type BlobPlace = { readonly volume: number; readonly partial: boolean; readonly shared?: true };

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

/** Where a blob lies now: on one volume, for as long as it is this file. The path is put together when it is asked for: a store may hold many of these. */
export class BlobFile {
  partial: boolean;
  /** Where it lies while its list of piece hashes grows. */
  growing: string | undefined;
  unlinked = false;
  /** Whether there may be a file that says which pieces are held. */
  hinted = true;
  readonly shared: boolean;
  readonly volume: number;
  readonly #layout: Layout;
  #of: { readonly digest: Digest; readonly meta: Metainfo };

  constructor(layout: Layout, of: { readonly digest: Digest; readonly meta: Metainfo }, at: BlobPlace) {
    this.#layout = layout;
    this.#of = of;
    this.volume = at.volume;
    this.partial = at.partial;
    this.shared = at.shared === true;
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
    if (this.shared) return `${this.#layout.volume(this.volume).shared}/${blobName(this.#of.digest, this.#of.meta)}`;
    return this.#layout.blob(this.#of.digest, this.#of.meta, this.volume);
  }

  get part(): string {
    return this.whole + partSuffix;
  }

  get have(): string {
    return this.whole + haveSuffix;
  }

  /** Where its piece-hash list is, and from which byte on. */
  get list(): { readonly path: string; readonly position: number } {
    if (this.shared) return { path: this.whole + listSuffix, position: 0 };
    return { path: this.path, position: this.#of.meta.length };
  }

  /** Bytes that it has when it is whole, at least. */
  get bytes(): number {
    return this.shared ? this.#of.meta.length : bytesOnDisk(this.#of.meta);
  }
}

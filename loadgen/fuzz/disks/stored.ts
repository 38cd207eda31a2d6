/**
 * What lies on the origins' disks, judged from outside: an acknowledged blob is there, and no blob is
 * visible that is not what its name says.
 */

import type { Digest } from '../../../core/digest.ts';
import { dataVolume, Layout } from '../../../platform/store/layout.ts';
import type { BlobStore } from '../../../platform/store/store.ts';
import { sameBytes } from '../../../platform/workers/hash.ts';
import { type Content, pieceOf } from '../content.ts';
import type { World } from '../world.ts';
import { dataDir, type Medium } from './disk.ts';

/** An origin, as its disk and its store show it. */
export type Shown = {
  readonly name: string;
  readonly medium: Pick<Medium, 'disk'>;
  readonly running: { readonly store: Pick<BlobStore, 'blobs' | 'get'> } | undefined;
};
/** What was acknowledged, and where it may lie. */
export type Acked = {
  readonly origins: ReadonlyMap<string, Shown>;
  readonly acked: ReadonlyMap<Digest, Content>;
  /** What it has may go from the origins. */
  readonly backend: { has(content: Content): boolean } | undefined;
};

/** Pieces that we let decay: `origin digest piece`. */
export type Rotten = Set<string>;

const layout = new Layout(dataDir);

export function rotKey(site: Shown, digest: Digest, piece: number): string {
  return `${site.name} ${digest} ${piece}`;
}

/** Whether a whole file of the blob at that origin has that piece right. */
function hasRight(site: Shown, content: Content, piece: number): boolean {
  return rightIn(site.medium.disk.peek(layout.blob(content.digest, content.meta, dataVolume)), content, piece);
}

function rightIn(file: Uint8Array | undefined, content: Content, piece: number): boolean {
  if (file === undefined) return false;
  const wanted = pieceOf(content, piece);
  const at = piece * content.meta.pieceLength;
  return sameBytes(file.subarray(at, at + wanted.length), wanted);
}

/** The path of the blob's whole file. */
export function fileOf(content: Content): string {
  return layout.blob(content.digest, content.meta, dataVolume);
}

/** Whether every piece of it is right in a whole file at some origin. */
export function rightSomewhere(sites: readonly Shown[], content: Content): boolean {
  if (content.pieces === 0) return sites.some((site) => hasFile(site, content));
  return Array.from({ length: content.pieces }, (_, piece) => piece).every((piece) =>
    sites.some((site) => hasRight(site, content, piece)),
  );
}

function hasFile(site: Shown, content: Content): boolean {
  return site.medium.disk.peek(layout.blob(content.digest, content.meta, dataVolume)) !== undefined;
}

/** Lets a piece decay of which another origin has a right copy. False: there is none. */
export function rotOrigin(world: World, { origins, acked }: Acked, rotten: Rotten): boolean {
  const site = world.pick([...origins.values()]);
  if (acked.size === 0) return false;
  const content = world.pick([...acked.values()]);
  if (content.pieces === 0) return false;
  const piece = world.prng.below(content.pieces);
  const spare = [...origins.values()].some((other) => other !== site && hasRight(other, content, piece));
  if (!spare || !hasRight(site, content, piece)) return false;
  const at = piece * content.meta.pieceLength + world.prng.below(pieceOf(content, piece).length);
  site.medium.disk.rot(layout.blob(content.digest, content.meta, dataVolume), at);
  rotten.add(rotKey(site, content.digest, piece));
  return true;
}

/** Whether every acknowledged blob is on some origin's disk, or in the backend. */
export function judgeAcked(world: World, { origins, acked, backend }: Acked): void {
  const sites = [...origins.values()];
  for (const content of acked.values()) {
    if (backend?.has(content) === true) continue;
    if (content.pieces === 0) {
      if (!sites.some((site) => hasFile(site, content))) lost(world, content, 'it is on no origin');
      continue;
    }
    for (let piece = 0; piece < content.pieces; piece++) {
      if (sites.some((site) => hasRight(site, content, piece))) continue;
      return lost(
        world,
        content,
        `piece ${piece} is right on no origin (${sites.map((site) => `${site.name} ${hasFile(site, content) ? 'has a file' : 'has none'}`).join(', ')})`,
      );
    }
  }
}

function lost(world: World, content: Content, why: string): void {
  world.violate('lost', `the push of ${content.digest} was acknowledged, and ${why}`);
}

/** Whether everything that this origin shows as complete is what it should be, but for what we let decay. */
export function judgeVisible(world: World, site: Shown, contents: ReadonlyMap<Digest, Content>, rotten: Rotten): void {
  const { running } = site;
  if (running === undefined) return;
  for (const entry of running.store.blobs()) {
    if (!entry.complete) continue;
    const content = contents.get(entry.digest);
    if (content === undefined)
      return world.violate('visible', `${site.name} shows ${entry.digest}, which nobody pushed`);
    for (let piece = 0; piece < content.pieces; piece++) {
      if (hasRight(site, content, piece) || rotten.has(rotKey(site, content.digest, piece))) continue;
      return world.violate('visible', `${site.name} shows ${entry.digest} as whole, but its piece ${piece} is wrong`);
    }
  }
}

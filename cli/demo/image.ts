/**
 * The image that `demo` pushes: layers of different sizes, each a tar archive with one file of random bytes, made
 * as they are read, from any offset, and never held whole.
 *
 * Rule 1: equal size and seed give equal digests.
 * Rule 2: the random bytes are an AES-128-CTR key stream: fast, incompressible, and any offset can be computed.
 */

import { createCipheriv, createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { type Digest, digestOf } from '../../core/digest.ts';
import { MEDIA } from '../../core/oci/media.ts';
import type { DescriptorJson, ManifestJson } from '../../platform/clients/registry/registry.ts';

/** Shares of the image's size. */
const LAYER_SHARES = [0.5, 0.3, 0.15, 0.05];
const chunkBytes = 256 * 1024;
const blockBytes = 512;
const aesBlockBytes = 16;

export type Layer = { readonly digest: Digest; readonly size: number; read(from: number): AsyncGenerator<Uint8Array> };
export type SmallBlob = { readonly digest: Digest; readonly bytes: Uint8Array };
export type DemoImage = {
  readonly layers: readonly Layer[];
  readonly config: SmallBlob;
  readonly manifest: SmallBlob;
  /** Layers, config and manifest. */
  readonly size: number;
};

/** Computes the digests: one pass over all bytes. */
export async function demoImage(size: number, seed: string): Promise<DemoImage> {
  const layers: Layer[] = [];
  for (const [i, share] of LAYER_SHARES.entries()) {
    const source = layerSource(Math.max(1, Math.round(size * share)), `${seed}/${i}`);
    layers.push({ digest: await digestOfChunks(source.read(0)), size: source.size, read: source.read });
  }
  const config = smallBlob({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Labels: { 'dev.shoal.demo': seed } },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
  });
  const manifest = smallBlob(manifestOf(config, layers));
  const bytes = layers.reduce((sum, layer) => sum + layer.size, config.bytes.length + manifest.bytes.length);
  return { layers, config, manifest, size: bytes };
}

function manifestOf(config: SmallBlob, layers: readonly Layer[]): ManifestJson {
  const layerOf = ({ digest, size }: Layer): DescriptorJson => ({ mediaType: MEDIA.ociLayer, digest, size });
  return {
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    config: { mediaType: MEDIA.ociConfig, digest: config.digest, size: config.bytes.length },
    layers: layers.map(layerOf),
  };
}

function smallBlob(value: unknown): SmallBlob {
  const bytes = Buffer.from(JSON.stringify(value));
  return { bytes, digest: digestOf('sha256', createHash('sha256').update(bytes).digest('hex')) };
}

async function digestOfChunks(chunks: AsyncIterable<Uint8Array>): Promise<Digest> {
  const hash = createHash('sha256');
  let turns = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    // Ctrl-C is heard between chunks.
    if (++turns % 16 === 0) await turn();
  }
  return digestOf('sha256', hash.digest('hex'));
}

type Source = { readonly size: number; read(from: number): AsyncGenerator<Uint8Array> };

/** A tar archive with one file of `contentBytes` random bytes. */
function layerSource(contentBytes: number, seed: string): Source {
  const header = tarHeader(`data/${seed.replaceAll('/', '-')}.bin`, contentBytes);
  const contentEnd = blockBytes + contentBytes;
  const padding = (blockBytes - (contentBytes % blockBytes)) % blockBytes;
  // Two empty blocks end an archive.
  const size = contentEnd + padding + 2 * blockBytes;
  const key = createHash('sha256').update(seed).digest().subarray(0, aesBlockBytes);
  async function* read(from: number): AsyncGenerator<Uint8Array> {
    if (from < blockBytes) yield header.subarray(from);
    const at = Math.max(0, from - blockBytes);
    if (at < contentBytes) yield* randomBytes(key, at, contentBytes);
    const tail = size - Math.max(from, contentEnd);
    if (tail > 0) yield Buffer.alloc(tail);
  }
  return { size, read };
}

/** The key stream from byte `from` to byte `to`. */
function* randomBytes(key: Uint8Array, from: number, to: number): Generator<Uint8Array> {
  const counter = Buffer.alloc(aesBlockBytes);
  counter.writeBigUInt64BE(BigInt(Math.floor(from / aesBlockBytes)), 8);
  const cipher = createCipheriv('aes-128-ctr', key, counter);
  cipher.update(Buffer.alloc(from % aesBlockBytes));
  const zeros = Buffer.alloc(Math.min(chunkBytes, to - from));
  for (let at = from; at < to; at += chunkBytes) yield cipher.update(zeros.subarray(0, Math.min(chunkBytes, to - at)));
}

/** A ustar header (POSIX.1-1988): one regular file, mode 0644, dated the epoch. */
export function tarHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(blockBytes);
  const octal = (value: number, at: number, width: number) =>
    header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at);
  header.write(name.slice(0, 100), 0);
  octal(0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\0', 257);
  header.write('00', 263);
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return header;
}

/** Test images, made without a network: busybox and layers of bytes that no compressor shrinks. */
import { createCipheriv, createHash } from 'node:crypto';
import { copyFile, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { need } from './programs.ts';

const chunkBytes = 1 << 20;

/** Writes `bytes` (a multiple of 1 MiB) that the seed decides; their SHA-256 in hex. */
export async function writeNoise(path: string, bytes: number, seed: number): Promise<string> {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
  const hash = createHash('sha256');
  const zeroes = Buffer.alloc(chunkBytes);
  await using file = await open(path, 'w');
  for (let written = 0; written < bytes; written += chunkBytes) {
    const chunk = cipher.update(zeroes);
    hash.update(chunk);
    await file.write(chunk);
  }
  return hash.digest('hex');
}

/**
 * A build context: a folder with a Dockerfile for an image of as many layers as sizes are given, each of that many
 * bytes of noise. Its command checks every byte and prints a line for each layer that ends in `OK`.
 */
export async function writeContext(folder: string, layerBytes: readonly number[]): Promise<void> {
  const last = join(folder, `layer${layerBytes.length - 1}`);
  await mkdir(join(last, 'bin'), { recursive: true });
  await copyFile(need('busybox'), join(last, 'bin/busybox'));
  const sums: string[] = [];
  const lines = ['FROM scratch'];
  for (const [layer, bytes] of layerBytes.entries()) {
    await mkdir(join(folder, `layer${layer}`), { recursive: true });
    sums.push(`${await writeNoise(join(folder, `layer${layer}/noise${layer}`), bytes, layer + 1)}  /noise${layer}`);
    lines.push(`ADD layer${layer} /`);
  }
  await writeFile(join(last, 'sums'), `${sums.join('\n')}\n`);
  lines.push('CMD ["/bin/busybox", "sha256sum", "-c", "/sums"]');
  await writeFile(join(folder, 'Dockerfile'), `${lines.join('\n')}\n`);
}

type Descriptor = { mediaType: string; digest: string; size: number; platform?: { os: string; architecture: string } };

/** An OCI layout with one index over one small image for each architecture; the index's digest. */
export async function writeMultiArchLayout(folder: string, architectures: readonly string[]): Promise<string> {
  await mkdir(join(folder, 'blobs/sha256'), { recursive: true });
  const put = async (mediaType: string, content: Buffer): Promise<Descriptor> => {
    const hex = createHash('sha256').update(content).digest('hex');
    await writeFile(join(folder, 'blobs/sha256', hex), content);
    return { mediaType: `application/vnd.oci.image.${mediaType}`, digest: `sha256:${hex}`, size: content.length };
  };
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const manifests: Descriptor[] = [];
  for (const architecture of architectures) {
    // Nothing unpacks these layers: any bytes will do.
    const tar = createHash('sha512').update(architecture).digest();
    const rootfs = { type: 'layers', diff_ids: [`sha256:${createHash('sha256').update(tar).digest('hex')}`] };
    const config = await put('config.v1+json', json({ os: 'linux', architecture, rootfs, config: {} }));
    const layers = [await put('layer.v1.tar+gzip', gzipSync(tar))];
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const manifest = await put('manifest.v1+json', json({ schemaVersion: 2, mediaType, config, layers }));
    manifests.push({ ...manifest, platform: { os: 'linux', architecture } });
  }
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const index = await put('index.v1+json', json({ schemaVersion: 2, mediaType, manifests }));
  await writeFile(join(folder, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  await writeFile(join(folder, 'index.json'), json({ schemaVersion: 2, manifests: [index] }));
  return index.digest;
}

/** An image in skopeo's `dir:` form, its layers of that many bytes (multiples of 1 MiB) of noise each. */
export async function writeDirImage(folder: string, layerBytes: readonly number[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  const put = async (mediaType: string, content: Buffer): Promise<Descriptor> => {
    const hex = createHash('sha256').update(content).digest('hex');
    await writeFile(join(folder, hex), content);
    return { mediaType: `application/vnd.oci.image.${mediaType}`, digest: `sha256:${hex}`, size: content.length };
  };
  const layers: Descriptor[] = [];
  const diffIds: string[] = [];
  for (const [layer, bytes] of layerBytes.entries()) {
    const noise = join(folder, 'noise');
    diffIds.push(`sha256:${await writeNoise(noise, bytes, layer + 101)}`);
    // Level 0: gzip's form, which keeps skopeo from compressing them itself, at no cost.
    layers.push(await put('layer.v1.tar+gzip', gzipSync(await readFile(noise), { level: 0 })));
    await rm(noise);
  }
  const image = { os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: diffIds }, config: {} };
  const config = await put('config.v1+json', Buffer.from(JSON.stringify(image)));
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  await writeFile(join(folder, 'manifest.json'), JSON.stringify({ schemaVersion: 2, mediaType, config, layers }));
  await writeFile(join(folder, 'version'), 'Directory Transport Version: 1.1\n');
}

/**
 * `shoal get`: a blob into a file or a stream, or an image into an OCI layout directory, through an agent. An
 * interrupted get goes on where it stood; what is there and right is not fetched again.
 */

import { once } from 'node:events';
import { open, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Writable } from 'node:stream';
import { ApiError } from '../../core/contracts/errors.ts';
import { type Digest, digestHex, parseDigest } from '../../core/digest.ts';
import type { FindLogin } from '../../platform/clients/registry/login.ts';
import { type BlobPull, type BlobSink, pullBlob, pullManifest } from '../../platform/clients/registry/pull.ts';
import { blobRepository, parseTarget } from '../../platform/clients/registry/ref.ts';
import { type ManifestJson, Registry } from '../../platform/clients/registry/registry.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { pullToFile } from '../transfer/file.ts';
import { shellPersistence } from '../transfer/shell.ts';
import { bytesText } from '../ui/format.ts';
import { Progress, type Screen } from '../ui/progress.ts';
import { type FoundManifest, type Getting, getLayout, readManifest } from './layout.ts';
import { fileArtifactType, titleAnnotation } from './put.ts';

/** For --output: standard output. */
export const standardOutput = '-';

export type GetOptions = {
  readonly target: string;
  readonly output?: string | undefined;
  readonly agent: string;
  /** Where the registry asks who somebody is. Default: nobody. */
  readonly login?: FindLogin | undefined;
  readonly screen: Screen;
  /** Where `-o -` goes. */
  readonly stdout?: Writable | undefined;
  readonly signal: AbortSignal;
};

/** The line that tells what was written where. */
export async function get(options: GetOptions): Promise<string> {
  const target = parseTarget(options.target);
  await using registry = new Registry(options.agent, options.login);
  const progress = new Progress(options.screen);
  const persistence = () => shellPersistence(progress, options.signal);
  const repo = target.kind === 'blob' ? blobRepository : target.repo;
  const getting: Getting = { registry, repo, progress, persistence, signal: options.signal };
  if (target.kind === 'blob')
    return await getBlob(getting, { digest: target.digest, name: digestHex(target.digest) }, options);
  const manifest = await manifestAt(getting, target.reference);
  if ('blob' in manifest) return await getBlob(getting, manifest.blob, options);
  const file = fileIn(manifest);
  if (file !== undefined) return await getBlob(getting, file, options);
  if (options.output === standardOutput)
    throw new StartError(`${options.target} is an image, which goes into a directory: name one with --output`);
  const dir = options.output ?? basename(target.repo);
  return await getLayout(getting, { dir, name: target.tag ?? target.reference, manifest });
}

/** The manifest; or, since `put` prints the digest of a file's blob, that blob of the repository. */
async function manifestAt(getting: Getting, reference: string): Promise<FoundManifest | { readonly blob: NamedBlob }> {
  const { registry, repo, signal } = getting;
  try {
    return await pullManifest(registry, { repo, reference }, getting.persistence());
  } catch (error) {
    const digest = parseDigest(reference);
    if (digest === undefined || !(error instanceof ApiError) || error.code !== 'MANIFEST_UNKNOWN') throw error;
    const size = await registry.blobSize(repo, digest, signal).catch(() => undefined);
    if (size === undefined) throw error;
    return { blob: { digest, name: digestHex(digest), size } };
  }
}

type NamedBlob = { readonly digest: Digest; readonly name: string; readonly size?: number };

/** The file that `shoal put --tag` made an artifact of. */
function fileIn(manifest: FoundManifest): NamedBlob | undefined {
  const [config, layer = config] = readManifest(manifest).blobs;
  const json = JSON.parse(Buffer.from(manifest.bytes).toString('utf8')) as ManifestJson;
  if (json.artifactType !== fileArtifactType || layer === undefined) return undefined;
  const title = basename(json.layers?.[0]?.annotations?.[titleAnnotation] ?? '');
  const name = title === '' || title === '.' || title === '..' ? digestHex(layer.digest) : title;
  return { digest: layer.digest, name, size: layer.size };
}

async function getBlob(getting: Getting, blob: NamedBlob, options: GetOptions): Promise<string> {
  const { registry, repo, progress } = getting;
  const { digest } = blob;
  const size = blob.size ?? (await getting.persistence().run(() => registry.blobSize(repo, digest, getting.signal)));
  const [bar] = progress.begin([{ label: digestHex(digest).slice(0, 12), total: size ?? 0 }]);
  const onBytes = (bytes: number) => bar !== undefined && progress.advance(bar, bytes);
  const pull: BlobPull = { repo, digest, size, onBytes };
  const told = () => `${bytesText(size ?? bar?.done ?? 0)}, ${digest}`;
  const to = await placeFor(options.output, blob.name);
  if (to.kind === 'stream') {
    await using sink = await streamSink(to.path, options.stdout);
    await pullBlob(registry, { ...pull, sink }, getting.persistence());
    progress.finish();
    return `${to.path === standardOutput ? 'standard output' : to.path}: ${told()}`;
  }
  const say = (line: string) => progress.say(line);
  const how = await pullToFile(registry, pull, { file: to.path, persistence: getting.persistence(), say });
  progress.finish();
  return `${to.path}: ${told()}${how === 'there' ? ', was there already' : ''}`;
}

type Place = { readonly kind: 'file' | 'stream'; readonly path: string };

/** Where a file called `name` goes: into `output` where that is, or by its last '/' shall be, a directory. */
async function placeFor(output: string | undefined, name: string): Promise<Place> {
  if (output === undefined) return { kind: 'file', path: name };
  if (output === standardOutput) return { kind: 'stream', path: output };
  const found = await stat(output).catch(() => undefined);
  if (output.endsWith('/') || found?.isDirectory() === true) return { kind: 'file', path: join(output, name) };
  // A device or a pipe is written to as it is, never replaced.
  return { kind: found === undefined || found.isFile() ? 'file' : 'stream', path: output };
}

/** Bytes leave before the digest of the whole is known: whoever reads them must wait for the exit code. */
async function streamSink(path: string, stdout: Writable | undefined): Promise<BlobSink & AsyncDisposable> {
  if (path !== standardOutput || stdout === undefined) {
    const handle = await open(path, 'a');
    return { write: (chunk) => handle.appendFile(chunk), [Symbol.asyncDispose]: () => handle.close() };
  }
  const write = async (chunk: Uint8Array) => {
    if (!stdout.write(chunk)) await once(stdout, 'drain');
  };
  return { write, [Symbol.asyncDispose]: async () => undefined };
}

/**
 * `shoal put`: any file as a blob; with a tag also as an OCI artifact, so that it can be fetched by name.
 */

import { createHash } from 'node:crypto';
import { createReadStream, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Digest, digestOf } from '../../core/digest.ts';
import { MEDIA } from '../../core/oci/media.ts';
import { tagValid } from '../../core/oci/name.ts';
import type { StreamBody } from '../../platform/clients/http.ts';
import type { FindLogin } from '../../platform/clients/registry/login.ts';
import { pushBlob } from '../../platform/clients/registry/push.ts';
import { parseRepository } from '../../platform/clients/registry/ref.ts';
import { type DescriptorJson, type ManifestJson, Registry } from '../../platform/clients/registry/registry.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { Failure } from '../failure.ts';
import { shellPersistence } from '../transfer/shell.ts';
import { bytesText, shellWord } from '../ui/format.ts';
import { Progress, type Screen } from '../ui/progress.ts';

export const fileArtifactType = 'application/vnd.shoal.file.v1';
export const titleAnnotation = 'org.opencontainers.image.title';
const fileMediaType = 'application/octet-stream';
const readBytes = 256 * 1024;
/** OCI image specification 1.1, "Guidance for an empty descriptor". */
const emptyConfig = Buffer.from('{}');

export type PutOptions = {
  readonly file: string;
  readonly repo: string;
  readonly tag?: string | undefined;
  readonly proxy: string;
  /** Where the registry asks who somebody is. Default: nobody. */
  readonly login?: FindLogin | undefined;
  readonly screen: Screen;
  readonly signal: AbortSignal;
};

/** The line that tells what can be fetched now, and how. */
export async function put(options: PutOptions): Promise<string> {
  const { file, tag, signal } = options;
  const repo = parseRepository(options.repo);
  if (tag !== undefined && !tagValid(tag))
    throw new StartError(`'${tag}' is no tag: letters, digits, '_', '.' and '-'`);
  const before = await about(file);
  const { size } = before;
  const progress = new Progress(options.screen);
  const [reading] = progress.begin([{ label: `reading ${basename(file)}`, total: size }]);
  const onRead = (bytes: number) => reading !== undefined && progress.advance(reading, bytes);
  const digest = await digestOfFile(file, signal, onRead);
  await using registry = new Registry(options.proxy, options.login);
  const persistence = () => shellPersistence(progress, signal);
  const [bar] = progress.begin([{ label: basename(file), total: size }]);
  const onBytes = (bytes: number) => bar !== undefined && progress.advance(bar, bytes);
  const read = (from: number) => readUnchanged(file, from, before);
  await pushBlob(registry, { repo, digest, size, read, prove: true, onBytes }, persistence());
  progress.finish();
  if (tag === undefined) return `${digest}  ${bytesText(size)}\nshoal get ${digest} -o ${shellWord(basename(file))}`;
  const config = digestOf('sha256', createHash('sha256').update(emptyConfig).digest('hex'));
  const small = {
    repo,
    digest: config,
    size: emptyConfig.length,
    read: (from: number) => chunksOf(emptyConfig.subarray(from)),
  };
  await pushBlob(registry, small, persistence());
  const bytes = Buffer.from(JSON.stringify(artifact({ digest, size, name: basename(file) }, config)));
  await persistence().run(() => registry.putManifest(repo, tag, { mediaType: MEDIA.ociManifest, bytes }, signal));
  return `${digest}  ${bytesText(size)}\nshoal get ${repo}:${tag}`;
}

function artifact(file: { digest: Digest; size: number; name: string }, config: Digest): ManifestJson {
  const layer: DescriptorJson = {
    mediaType: fileMediaType,
    digest: file.digest,
    size: file.size,
    annotations: { [titleAnnotation]: file.name },
  };
  return {
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    artifactType: fileArtifactType,
    config: { mediaType: MEDIA.ociEmpty, digest: config, size: emptyConfig.length },
    layers: [layer],
  };
}

async function about(file: string): Promise<Stats> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) throw new StartError(`${file}: there is no such file`);
  if (!found.isFile()) throw new StartError(`${file}: is no file`);
  return found;
}

async function digestOfFile(file: string, signal: AbortSignal, onRead: (bytes: number) => void): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const chunk of readFrom(file, 0)) {
    signal.throwIfAborted();
    hash.update(chunk);
    onRead(chunk.length);
  }
  return digestOf('sha256', hash.digest('hex'));
}

/** Its digest is known already: a file that changes meanwhile is said to, and not tried again as a fault of the network. */
async function* readUnchanged(file: string, from: number, before: Stats): AsyncGenerator<Uint8Array> {
  const check = async () => {
    const { size, mtimeMs } = await about(file);
    if (size !== before.size || mtimeMs !== before.mtimeMs)
      throw new Failure(`${file}: changed while it was read: put it again when nobody writes to it`);
  };
  await check();
  yield* readFrom(file, from);
  await check();
}

function readFrom(file: string, from: number): StreamBody {
  return createReadStream(file, { start: from, highWaterMark: readBytes }) as StreamBody;
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

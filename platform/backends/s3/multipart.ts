/**
 * An object in parts: several on their way at once, gone on with after a restart where the server still has some.
 *
 * Rule 1: the parts' size follows from the object's alone, so that a restart cuts it in the same places.
 * Rule 2: a write that is cut off, by its caller or by the server's trouble, leaves its upload, to be gone on with. One
 *         whose bytes were wrong is aborted, and so are, once the object is there, the others of its key that were ours.
 *         Where others write as well no upload is looked for, as it may be theirs, and what was begun is aborted.
 * Rule 3: several origins may write one key at once: whose upload is gone looks whether the object is there.
 */

import { CompleteMultipartUploadCommand, CreateMultipartUploadCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { BackendError, type BackendObject, type ObjectSource } from '../backend.ts';
import { sendParts } from '../parts/send.ts';
import { type SourcePart, WrongSource } from '../parts/source.ts';
import { type Sum, sumOf } from '../parts/sums.ts';
import { confirms, sumInput } from './checksums.ts';
import { s3Code } from './errors.ts';
import { partsMax } from './limits.ts';
import { abortUpload, type FoundPart, type FoundUpload, findUploads } from './resume.ts';
import { confirmByHead, digestMetadata, type S3Writing, storing, wrongSource } from './write.ts';

const mebibyte = 1024 * 1024;

/** So many bytes has each part but the last of an object of `size`. */
export function partBytes(size: number, wanted: number): number {
  const needed = size / partsMax;
  return needed <= wanted ? wanted : Math.ceil(needed / mebibyte) * mebibyte;
}

type Sent = { readonly PartNumber: number; readonly ETag: string; readonly ChecksumCRC32?: string };
type Target = { readonly key: string; readonly id: string };

export async function writeInParts(
  writing: S3Writing,
  key: string,
  source: ObjectSource,
  signal: AbortSignal,
): Promise<BackendObject> {
  const { requests } = writing;
  const found = writing.alone ? await findUploads(requests, key, signal) : [];
  const [going] = found;
  const id = going?.id ?? (await begin(writing, { key, source }, signal));
  const upload = new Upload(writing, { key, id }, going);
  try {
    const sent = await upload.send(source, signal);
    await upload.complete(sent, signal);
  } catch (error) {
    if (error instanceof WrongSource) {
      await abortUpload(requests, { key, id });
      throw wrongSource(requests, key, error);
    }
    const there = await afterAll(writing, { key, source, error }, signal);
    if (there === undefined) {
      if (!writing.alone) await abortUpload(requests, { key, id });
      throw error;
    }
  }
  const object = await confirmByHead(requests, { key, size: source.size, digest: source.digest }, signal);
  for (const other of found)
    if (other.id !== id && upload.knows(other)) await abortUpload(requests, { key, id: other.id });
  return object;
}

/** The upload is gone, or its end was not heard of: somebody else has finished the object, or the server did. */
async function afterAll(
  { requests }: S3Writing,
  { key, source, error }: { key: string; source: ObjectSource; error: unknown },
  signal: AbortSignal,
): Promise<BackendObject | undefined> {
  const unclear =
    error instanceof BackendError &&
    (s3Code(error.cause) === 'NoSuchUpload' || error.why === 'unavailable' || error.why === 'stalled');
  if (!unclear || signal.aborted) return undefined;
  return confirmByHead(requests, { key, size: source.size, digest: source.digest }, signal).catch(() => undefined);
}

async function begin(
  { requests, settings, sums }: S3Writing,
  { key, source }: { key: string; source: ObjectSource },
  signal: AbortSignal,
): Promise<string> {
  const { UploadId } = await requests.ask({ doing: 'begin to write', key, signal }, (client, options) =>
    client.send(
      new CreateMultipartUploadCommand({
        Bucket: requests.bucket,
        Key: key,
        Metadata: digestMetadata(source.digest),
        ...(sums === 'crc32' && { ChecksumAlgorithm: 'CRC32' as const }),
        ...storing(settings),
      }),
      options,
    ),
  );
  if (UploadId === undefined)
    throw requests.wrong('unsupported', key, 'cannot be written in parts: the server names no upload');
  return UploadId;
}

class Upload {
  readonly #writing: S3Writing;
  readonly #target: Target;
  readonly #going: FoundUpload | undefined;
  /** Sums of our parts, so that other uploads can be told apart: ours, or foreign. */
  readonly #sums = new Map<number, { readonly sum: Sum; readonly size: number }>();

  constructor(writing: S3Writing, target: Target, going: FoundUpload | undefined) {
    this.#writing = writing;
    this.#target = target;
    this.#going = going;
  }

  /** Every part is there when this resolves. */
  async send(source: ObjectSource, signal: AbortSignal): Promise<Sent[]> {
    const { room, sums, settings } = this.#writing;
    const cut = { size: partBytes(source.size, settings.parts.size), sums, room };
    const send = (part: SourcePart, either: AbortSignal): Promise<Sent> => {
      this.#sums.set(part.number, { sum: part.sum, size: part.bytes.length });
      return this.#part(part, either);
    };
    const final = (error: BackendError): boolean => s3Code(error.cause) === 'NoSuchUpload';
    return await sendParts({ source, cut, parallel: settings.parts.parallel, send, final }, signal);
  }

  async complete(parts: readonly Sent[], signal: AbortSignal): Promise<void> {
    const { requests } = this.#writing;
    const { key, id } = this.#target;
    await requests.ask({ doing: 'finish writing', key, signal }, (client, options) =>
      client.send(
        new CompleteMultipartUploadCommand({
          Bucket: requests.bucket,
          Key: key,
          UploadId: id,
          MultipartUpload: { Parts: [...parts] },
        }),
        options,
      ),
    );
  }

  /** Whether another upload is of these bytes in these parts: one that we, or another origin, left. */
  knows({ parts }: FoundUpload): boolean {
    return parts.size > 0 && [...parts].every(([number, part]) => believed(part, this.#sums.get(number)));
  }

  async #part(part: SourcePart, signal: AbortSignal): Promise<Sent> {
    const there = this.#going?.parts.get(part.number);
    if (there !== undefined && believed(there, { sum: part.sum, size: part.bytes.length, bytes: part.bytes }))
      return sentPart(part, there.etag);
    return await this.#upload(part, signal);
  }

  async #upload(part: SourcePart, signal: AbortSignal): Promise<Sent> {
    const { requests } = this.#writing;
    const { key, id } = this.#target;
    const answer = await requests.ask({ doing: `write part ${part.number} of`, key, signal }, (client, options) =>
      client.send(
        new UploadPartCommand({
          Bucket: requests.bucket,
          Key: key,
          UploadId: id,
          PartNumber: part.number,
          Body: part.bytes,
          ContentLength: part.bytes.length,
          ...sumInput(part.sum),
        }),
        options,
      ),
    );
    if (confirms(answer, part.sum) === 'no')
      throw requests.wrong('damaged', key, `: part ${part.number} has another checksum there: it is written again`);
    if (answer.ETag === undefined) throw requests.wrong('damaged', key, `: part ${part.number} got no ETag`);
    return sentPart(part, answer.ETag);
  }
}

function sentPart({ number, sum }: SourcePart, etag: string): Sent {
  return { PartNumber: number, ETag: etag, ...(sum.kind === 'crc32' && { ChecksumCRC32: sum.base64 }) };
}

/** Is what the server lists of a part what we would send? By its CRC-32, or else by an ETag that is the MD5. */
function believed(there: FoundPart, ours: { sum: Sum; size: number; bytes?: Uint8Array } | undefined): boolean {
  if (ours === undefined || there.size !== ours.size) return false;
  const said = { ETag: there.etag, ChecksumCRC32: there.crc32 };
  const told = confirms(said, ours.sum);
  if (told !== 'untold' || ours.bytes === undefined) return told === 'yes';
  return confirms(said, sumOf('md5', ours.bytes)) === 'yes';
}

/**
 * Manifests: Docker schema 2 (image, list) and OCI 1.1 (image, index), read for what the index keeps:
 * media type, references, subject, artifact type, annotations.
 *
 * Rule 1: the bytes are never changed or written anew; this only reads them.
 * Rule 2: one document has one meaning: no `layers` beside `manifests`, no Content-Type that
 *         contradicts `mediaType` (CVE-2021-41190).
 * Rule 3: `null` is as absent, and an absent list is empty: Go's encoders write both, and other registries take them.
 */

import { ApiError } from '../contracts/errors.ts';
import { type Digest, parseDigest } from '../digest.ts';
import { manifestBytesMax, mediaTypeLengthMax } from './limits.ts';
import { FOREIGN_LAYER_TYPES, MANIFEST_TYPES, MEDIA, mediaTypeOf, REFUSED_TYPES } from './media.ts';

export type Descriptor = {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly urls: readonly string[];
};

export type Manifest = {
  readonly mediaType: string;
  /** Blobs that the repository must hold: config and layers, without foreign layers that name a URL. */
  readonly blobs: readonly Descriptor[];
  /** Manifests that the repository must hold. */
  readonly manifests: readonly Descriptor[];
  /** What this refers to; it may be absent. */
  readonly subject?: Descriptor | undefined;
  /** As the referrers API lists it: `artifactType`, else the config's media type. */
  readonly artifactType?: string | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
};

type Fields = Readonly<Record<string, unknown>>;

/** Types that say nothing: the document decides. */
const VAGUE_TYPES: ReadonlySet<string> = new Set(['', 'application/json', 'application/octet-stream', 'text/plain']);

/**
 * `contentType` is the header that came with the bytes. Throws ApiError MANIFEST_INVALID that names the
 * field, or SIZE_INVALID above 4 MiB.
 */
export function parseManifest(bytes: Uint8Array, contentType: string | undefined): Manifest {
  if (bytes.length > manifestBytesMax) throw tooLarge();
  const document = objectOf(parseJson(bytes));
  const mediaType = detect(document, mediaTypeOf(contentType));
  const subject = absent(document['subject']) ? undefined : descriptor(document['subject'], 'subject');
  const common = { mediaType, subject, annotations: annotationsOf(document['annotations']) };
  const artifactType = textOf(document['artifactType'], 'artifactType');
  if (MANIFEST_TYPES.get(mediaType) === 'image') {
    const config = descriptor(document['config'], 'config');
    const layers = descriptors(document['layers'], 'layers').filter((layer) => !foreign(layer));
    return {
      ...common,
      blobs: unique([config, ...layers]),
      manifests: [],
      artifactType: artifactType ?? config.mediaType,
    };
  }
  // An index may also list what is no manifest: build caches keep their layers so.
  const listed = descriptors(document['manifests'], 'manifests');
  const manifests = unique(listed.filter((entry) => MANIFEST_TYPES.has(entry.mediaType)));
  const blobs = unique(listed.filter((entry) => !MANIFEST_TYPES.has(entry.mediaType) && !foreign(entry)));
  return { ...common, blobs, manifests, artifactType };
}

export function tooLarge(): ApiError {
  return new ApiError('SIZE_INVALID', `the manifest is larger than the limit of ${manifestBytesMax} bytes`);
}

function detect(document: Fields, header: string): string {
  if (document['schemaVersion'] !== 2) {
    const version = JSON.stringify(document['schemaVersion'])?.slice(0, 20) ?? 'absent';
    const remedy = version === '1' ? ': Docker schema 1 is not supported, push schema 2 or OCI' : '';
    throw invalid(`schemaVersion is ${version}, it must be 2${remedy}`);
  }
  const field = textOf(document['mediaType'], 'mediaType');
  const said = VAGUE_TYPES.has(header) ? undefined : header;
  if (field !== undefined && said !== undefined && field !== said) {
    throw invalid(`Content-Type is ${said}, but the manifest's mediaType is ${field}`);
  }
  const mediaType = field ?? said ?? byShape(document);
  const refused = REFUSED_TYPES.get(mediaType);
  if (refused !== undefined) throw invalid(refused);
  const shape = MANIFEST_TYPES.get(mediaType);
  if (shape === undefined) throw invalid(`${mediaType.slice(0, 100)} is no known type of manifest`);
  checkShape(document, shape, mediaType);
  return mediaType;
}

/** Only OCI lets a manifest leave out its mediaType. */
function byShape(document: Fields): string {
  if (!absent(document['manifests'])) return MEDIA.ociIndex;
  return Object.hasOwn(document, 'manifests') && absent(document['config']) ? MEDIA.ociIndex : MEDIA.ociManifest;
}

function checkShape(document: Fields, shape: 'image' | 'index', mediaType: string): void {
  const forbidden = shape === 'image' ? ['manifests', 'fsLayers'] : ['config', 'layers', 'fsLayers'];
  for (const field of forbidden) {
    if (!absent(document[field])) throw invalid(`a manifest of type ${mediaType} has no field '${field}'`);
  }
}

function descriptors(value: unknown, where: string): Descriptor[] {
  if (absent(value)) return [];
  if (!Array.isArray(value)) throw invalid(`'${where}' must be a list`);
  return value.map((entry, index) => descriptor(entry, `${where}[${index}]`));
}

function descriptor(value: unknown, where: string): Descriptor {
  if (!isObject(value)) throw invalid(`'${where}' must be a descriptor`);
  const mediaType = textOf(value['mediaType'], `${where}.mediaType`);
  if (mediaType === undefined) throw invalid(`'${where}.mediaType' is missing`);
  const text = value['digest'];
  const digest = typeof text === 'string' ? parseDigest(text) : undefined;
  if (digest === undefined) throw invalid(`'${where}.digest' is no digest that is supported here`);
  const size = value['size'];
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw invalid(`'${where}.size' is no size in bytes`);
  return { mediaType, digest, size, urls: urlsOf(value['urls'], where) };
}

function urlsOf(value: unknown, where: string): string[] {
  if (absent(value)) return [];
  if (!Array.isArray(value) || !value.every((url) => typeof url === 'string'))
    throw invalid(`'${where}.urls' must be a list of texts`);
  return value;
}

function foreign(layer: Descriptor): boolean {
  return FOREIGN_LAYER_TYPES.has(layer.mediaType) && layer.urls.length > 0;
}

function annotationsOf(value: unknown): Readonly<Record<string, string>> | undefined {
  if (absent(value)) return undefined;
  if (!isObject(value) || !Object.values(value).every((text) => typeof text === 'string')) {
    throw invalid(`'annotations' must map texts to texts`);
  }
  // JSON readers on the way, and those of others, refuse it as an attempt to poison prototypes.
  if (Object.hasOwn(value, '__proto__')) throw invalid("'annotations' has a key '__proto__': name it otherwise");
  return value as Record<string, string>;
}

/** '' counts as absent, as OCI tools write it so. */
function textOf(value: unknown, where: string): string | undefined {
  if (absent(value) || value === '') return undefined;
  if (typeof value !== 'string' || value.length > mediaTypeLengthMax) throw invalid(`'${where}' is no media type`);
  return value;
}

function unique(list: readonly Descriptor[]): Descriptor[] {
  return [...new Map(list.map((entry) => [entry.digest, entry])).values()];
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalid(`it is no JSON in UTF-8 (${(error as Error).message.slice(0, 80)})`);
  }
}

function objectOf(value: unknown): Fields {
  if (!isObject(value)) throw invalid('it is no JSON object');
  return value;
}

function absent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(why: string): ApiError {
  return new ApiError('MANIFEST_INVALID', `the manifest is invalid: ${why}`);
}

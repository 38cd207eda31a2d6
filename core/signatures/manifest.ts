/**
 * Manifests that carry signatures: cosign's, under the tag `sha256-HEX.sig`, and OCI's referrers.
 *
 * Rule: clients may read JSON more leniently than this (Go takes `Layers` for `layers`). So what passes for evidence has
 *   no field that is not known here, and what may be a manifest to anybody is one.
 */

import { type Digest, parseDigest } from '../digest.ts';
import { tagValid } from '../oci/name.ts';
import { fieldsIn, jsonOf } from './claim.ts';

export const SIGNATURE_TYPES = {
  /** A payload; its signature is in the layer's annotation. */
  simple: 'application/vnd.dev.cosign.simplesigning.v1+json',
  /** Both in one file. */
  bundle: 'application/vnd.dev.sigstore.bundle.v0.3+json',
  envelope: 'application/vnd.dsse.envelope.v1+json',
} as const;

/** Of a referrer. */
export const REFERRER_TYPES = ['application/vnd.dev.cosign.artifact.sig.v1+json', SIGNATURE_TYPES.bundle] as const;

const signatureAnnotation = 'dev.cosignproject.cosign/signature';

export type SignatureLayer = {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  /** Base64, of a payload. */
  readonly signature: string | undefined;
};

/** The tag under which cosign keeps what is signed of a manifest; undefined: it would be longer than a tag may be. */
export function signatureTag(digest: Digest): string | undefined {
  const tag = `${digest.replace(':', '-')}.sig`;
  return tagValid(tag) ? tag : undefined;
}

/** The layers; none of what is no manifest. */
export function signatureLayers(bytes: Uint8Array): readonly SignatureLayer[] {
  const layers = fieldsIn(jsonOf(bytes))?.['layers'];
  return Array.isArray(layers) ? layers.flatMap((layer) => layerOf(layer) ?? []) : [];
}

const manifestFields = ['schemaVersion', 'mediaType', 'artifactType', 'config', 'layers', 'subject', 'annotations'];
const layerFields = ['mediaType', 'digest', 'size', 'annotations'];
const evidenceTypes: ReadonlySet<string> = new Set(Object.values(SIGNATURE_TYPES));

/** The layers of a manifest that can be nothing but signatures and attestations, by its own words; else undefined. */
export function evidenceLayers(bytes: Uint8Array): readonly SignatureLayer[] | undefined {
  const manifest = fieldsIn(jsonOf(bytes));
  const layers = manifest?.['layers'];
  if (manifest === undefined || !onlyHas(manifest, manifestFields) || !Array.isArray(layers)) return undefined;
  const found = signatureLayers(bytes).filter(({ mediaType }) => evidenceTypes.has(mediaType));
  const known = layers.every((layer) => onlyHas(layer as object, layerFields));
  return found.length > 0 && found.length === layers.length && known ? found : undefined;
}

/** Whether somebody could take it for a manifest, whatever it was pushed as. */
export function mayBeManifest(bytes: Uint8Array): boolean {
  const found = fieldsIn(jsonOf(bytes));
  // As Go folds letters: long s and Kelvin's sign, too.
  const fields = Object.keys(found ?? {}).map((key) => key.toUpperCase().toLowerCase());
  return fields.some((field) => ['schemaversion', 'manifests', 'layers', 'fslayers'].includes(field));
}

function layerOf(value: unknown): SignatureLayer | undefined {
  const layer = fieldsIn(value);
  const digest = typeof layer?.['digest'] === 'string' ? parseDigest(layer['digest']) : undefined;
  const { mediaType, size } = layer ?? {};
  if (digest === undefined || typeof mediaType !== 'string') return undefined;
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return undefined;
  const signature = fieldsIn(layer?.['annotations'])?.[signatureAnnotation];
  return { mediaType, digest, size, signature: typeof signature === 'string' ? signature : undefined };
}

function onlyHas(value: object, known: readonly string[]): boolean {
  return fieldsIn(value) !== undefined && Object.keys(value).every((key) => known.includes(key));
}

/** For tests: a registry in memory whose images are signed as cosign does it, by keys that are made here. */

import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { ApiError } from '../../core/contracts/errors.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import { parseManifest } from '../../core/oci/manifest.ts';
import { MEDIA } from '../../core/oci/media.ts';
import { signedOfEnvelope, statementType } from '../../core/signatures/claim.ts';
import { REFERRER_TYPES, SIGNATURE_TYPES, signatureTag } from '../../core/signatures/manifest.ts';
import { openMemoryTags } from '../tags/memory/memory.ts';
import type { ReferrersOf } from '../tags/store.ts';
import type { SignatureSource } from './candidates.ts';

export type Signer = { readonly pem: string; readonly key: KeyObject; readonly hash: string | null };

export function signer(kind: 'P-256' | 'P-384' | 'rsa' | 'ed25519' = 'P-256'): Signer {
  const pair =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : kind === 'ed25519'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('ec', { namedCurve: kind });
  const pem = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return { pem, key: pair.privateKey, hash: kind === 'ed25519' ? null : 'sha256' };
}

export function sha256(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** Where cosign has signatures of an image. */
export function tagOf(digest: Digest): string {
  const tag = signatureTag(digest);
  if (tag === undefined) throw new Error(`cosign has no tag for ${digest}`);
  return tag;
}

/** What cosign has signed. */
export function payload(digest: string, reference: string): Buffer {
  const critical = {
    identity: { 'docker-reference': reference },
    image: { 'docker-manifest-digest': digest },
    type: 'cosign container image signature',
  };
  return Buffer.from(JSON.stringify({ critical, optional: null }));
}

type Layer = {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations?: object;
};

export class SignedImages implements SignatureSource {
  readonly store = openMemoryTags();
  readonly blobs = new Map<Digest, Uint8Array>();
  readonly read: Digest[] = [];
  down = false;

  tag(repo: string, tag: string) {
    return this.#up(() => this.store.tag(repo, tag));
  }
  referrers(repo: string, digest: Digest, of: ReferrersOf) {
    return this.#up(() => this.store.referrers(repo, digest, of));
  }
  bytes({ digest }: BlobIn, max: number) {
    return this.#up(async () => {
      this.read.push(digest);
      const found = this.blobs.get(digest);
      return found === undefined || found.length > max ? undefined : found;
    });
  }

  async #up<T>(act: () => Promise<T>): Promise<T> {
    if (this.down) throw new ApiError('UNAVAILABLE', 'no index answers');
    return await act();
  }

  async blob(repo: string, bytes: Uint8Array): Promise<Digest> {
    const digest = sha256(bytes);
    this.blobs.set(digest, bytes);
    await this.store.linkBlob(repo, digest, { size: bytes.length });
    return digest;
  }

  async manifest(repo: string, document: object, tags: readonly string[] = []): Promise<Digest> {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...document }));
    const digest = sha256(bytes);
    const { mediaType, blobs, manifests, subject, artifactType } = parseManifest(bytes, undefined);
    this.blobs.set(digest, bytes);
    const names = { blobs: blobs.map((one) => one.digest), manifests: manifests.map((one) => one.digest) };
    const put = { mediaType, size: bytes.length, tags, ...names, subject: subject?.digest, artifactType };
    const { missing } = await this.store.putManifest(repo, digest, put, 0);
    if (missing.length > 0) throw new Error(`${repo} lacks ${missing.join(', ')}`);
    return digest;
  }

  /** An image whose only layer is that text. */
  async image(repo: string, text: string, tags: readonly string[] = []): Promise<Digest> {
    const config = await this.#layer(repo, Buffer.from('{}'), MEDIA.ociConfig);
    const layer = await this.#layer(repo, Buffer.from(text), MEDIA.ociLayer);
    return await this.manifest(repo, { mediaType: MEDIA.ociManifest, config, layers: [layer] }, tags);
  }

  async index(repo: string, children: readonly Digest[], tags: readonly string[] = []): Promise<Digest> {
    const manifests = children.map((digest) => ({ mediaType: MEDIA.ociManifest, digest, size: this.sizeOf(digest) }));
    return await this.manifest(repo, { mediaType: MEDIA.ociIndex, manifests }, tags);
  }

  sizeOf(digest: Digest): number {
    return this.blobs.get(digest)?.length ?? 0;
  }

  async #layer(repo: string, bytes: Uint8Array, mediaType: string, annotations?: object): Promise<Layer> {
    const digest = await this.blob(repo, bytes);
    return { mediaType, digest, size: bytes.length, ...(annotations && { annotations }) };
  }

  /** A layer as cosign's: `signed` is what the signature is of, `message` what lies there. */
  async signature(repo: string, by: Signer, message: Uint8Array, signed: Uint8Array = message): Promise<Layer> {
    const text = sign(by.hash, signed, by.key).toString('base64');
    return await this.#layer(repo, message, SIGNATURE_TYPES.simple, { 'dev.cosignproject.cosign/signature': text });
  }

  /** Under the tag where cosign has them. */
  async attach(repo: string, digest: Digest, layers: readonly Layer[]): Promise<Digest> {
    const config = await this.#layer(repo, Buffer.from('{}'), MEDIA.ociConfig);
    return await this.manifest(repo, { mediaType: MEDIA.ociManifest, config, layers }, [tagOf(digest)]);
  }

  /** As `cosign sign` does by default. */
  async sign(repo: string, digest: Digest, by: Signer, reference = `localhost:5000/${repo}`): Promise<Digest> {
    return await this.attach(repo, digest, [await this.signature(repo, by, payload(digest, reference))]);
  }

  async unsign(repo: string, digest: Digest): Promise<void> {
    await this.store.deleteTag(repo, tagOf(digest));
  }

  /** Among the referrers, in the form `legacy` or as a bundle; an attestation is one of something else. */
  async refer(repo: string, digest: Digest, by: Signer, form: 'legacy' | 'bundle' | 'attestation'): Promise<Digest> {
    const subject = { mediaType: MEDIA.ociManifest, digest, size: this.sizeOf(digest) };
    const [legacy, bundle] = REFERRER_TYPES;
    if (form === 'legacy') {
      const layers = [await this.signature(repo, by, payload(digest, `localhost:5000/${repo}`))];
      const config = await this.#layer(repo, Buffer.from('{}'), legacy);
      return await this.manifest(repo, { mediaType: MEDIA.ociManifest, config, layers, subject });
    }
    const signed = form === 'bundle' ? 'https://sigstore.dev/cosign/sign/v1' : 'https://slsa.dev/provenance/v1';
    const [algorithm = '', hex] = digest.split(':');
    const statement = {
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ digest: { [algorithm]: hex } }],
      predicateType: signed,
    };
    const bytes = Buffer.from(JSON.stringify(statement));
    const sig = sign(by.hash, signedOfEnvelope(statementType, bytes), by.key).toString('base64');
    const dsseEnvelope = { payload: bytes.toString('base64'), payloadType: statementType, signatures: [{ sig }] };
    const layers = [await this.#layer(repo, Buffer.from(JSON.stringify({ mediaType: bundle, dsseEnvelope })), bundle)];
    const config = await this.#layer(repo, Buffer.from('{}'), MEDIA.ociEmpty);
    return await this.manifest(repo, { mediaType: MEDIA.ociManifest, artifactType: bundle, config, layers, subject });
  }
}

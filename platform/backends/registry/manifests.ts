/**
 * RegistryManifests of a registry, by tag and by digest.
 *
 * Rule 1: bytes are those of the digest that was asked for, or else that the registry names; a registry that gives others is
 *         told apart, and nothing of it is kept.
 * Rule 2: a manifest is put as its pusher's bytes, under the media type that these say.
 */

import { createHash } from 'node:crypto';
import { ApiError } from '../../../core/contracts/errors.ts';
import { type Digest, digestAlgorithm, digestOf, parseDigest } from '../../../core/digest.ts';
import { manifestBytesMax } from '../../../core/oci/limits.ts';
import { parseManifest } from '../../../core/oci/manifest.ts';
import { MANIFEST_TYPES } from '../../../core/oci/media.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { BackendError } from '../backend.ts';
import type { WebAnswer } from '../web/answer.ts';
import { pullScopes, pushScopes, type RegistryApi, type RegistryCall } from './api.ts';

const ACCEPT = [...MANIFEST_TYPES.keys()].join(', ');

/** `repo`: as it is called there. `key`: for messages. */
export type ManifestAt = { readonly repo: string; readonly reference: string; readonly key: string };

export class RegistryManifests {
  readonly #api: RegistryApi;

  constructor(api: RegistryApi) {
    this.#api = api;
  }

  /** What a tag is on, without its bytes where the registry can say it so; undefined: there is no such tag. */
  async digestOf(at: ManifestAt, signal: AbortSignal): Promise<Digest | undefined> {
    const call = this.#call('HEAD', at, signal);
    const answer = await this.#api.call({ ...call, expect: [404, 405] });
    if (answer.status === 404) return await this.#absent(answer, call);
    const said = parseDigest(answer.headers['docker-content-digest'] ?? '');
    this.#api.noHtml(answer);
    await answer.discard();
    if (answer.status !== 405 && said !== undefined) return said;
    return (await this.get(at, signal))?.digest;
  }

  /** Bytes of a manifest, as the registry says it without giving them; undefined: there is none. */
  async sizeOf(at: ManifestAt, signal: AbortSignal): Promise<number | undefined> {
    const call = this.#call('HEAD', at, signal);
    const answer = await this.#api.call({ ...call, expect: [404, 405] });
    if (answer.status === 404) return await this.#absent(answer, call);
    this.#api.noHtml(answer);
    const length = lengthOf(answer);
    if (answer.status !== 405) this.#same(answer, at);
    await answer.discard();
    if (answer.status !== 405 && length !== undefined) return length;
    return (await this.get(at, signal))?.bytes.length;
  }

  /** undefined: there is none. */
  async get(
    at: ManifestAt,
    signal: AbortSignal,
  ): Promise<{ readonly digest: Digest; readonly bytes: Buffer } | undefined> {
    const call = this.#call('GET', at, signal);
    const answer = await this.#api.call({ ...call, expect: [404] });
    if (answer.status === 404) return await this.#absent(answer, call);
    this.#api.noHtml(answer);
    const asked = parseDigest(at.reference) ?? this.#said(answer);
    const bytes = await this.#bytes(answer);
    const algorithm = asked === undefined ? 'sha256' : digestAlgorithm(asked);
    const digest = digestOf(algorithm, createHash(algorithm).update(bytes).digest('hex'));
    if (asked !== undefined && asked !== digest)
      throw answer.wrong(
        'damaged',
        `gives a manifest of ${digest}, and calls it ${asked}`,
        'the registry, or what is before it, changes manifests: look at it',
      );
    return { digest, bytes };
  }

  /** Resolves once the registry has confirmed it under that reference. */
  async put(at: ManifestAt, manifest: { digest: Digest; bytes: Buffer }, signal: AbortSignal): Promise<void> {
    const { digest, bytes } = manifest;
    const headers = { 'content-type': this.#typeOf(at, manifest), 'content-length': String(bytes.length) };
    const call = { ...this.#call('PUT', at, signal), scopes: pushScopes(at.repo), headers, body: bytes };
    const answer = await this.#api.call(call);
    this.#api.noHtml(answer);
    const confirmed = parseDigest(answer.headers['docker-content-digest'] ?? '');
    await answer.discard();
    if (confirmed !== undefined && confirmed !== digest && digestAlgorithm(confirmed) === digestAlgorithm(digest))
      throw answer.wrong(
        'damaged',
        `has kept ${confirmed} in place of ${digest}`,
        'the registry changes manifests as they come: it cannot be written to',
      );
  }

  #call(method: 'GET' | 'HEAD' | 'PUT', { repo, reference, key }: ManifestAt, signal: AbortSignal): RegistryCall {
    const doing = method === 'PUT' ? 'write' : method === 'HEAD' ? 'look up' : 'read';
    const path = OCI_PATHS.manifest(repo, reference);
    return { method, path, scopes: pullScopes(repo), headers: { accept: ACCEPT }, signal, doing, object: key };
  }

  async #absent(answer: WebAnswer, call: RegistryCall): Promise<undefined> {
    await this.#api.absent(answer, call);
  }

  #said(answer: WebAnswer): Digest | undefined {
    const text = answer.headers['docker-content-digest'];
    const digest = parseDigest(text ?? '');
    if (text !== undefined && digest === undefined)
      throw answer.wrong('damaged', `names a digest that is none: ${text.slice(0, 100)}`);
    return digest;
  }

  /** It may be named by another algorithm than it was asked for. */
  #same(answer: WebAnswer, { reference }: ManifestAt): void {
    const [asked, said] = [parseDigest(reference), this.#said(answer)];
    if (asked === undefined || said === undefined || digestAlgorithm(asked) !== digestAlgorithm(said)) return;
    if (asked !== said) throw answer.wrong('damaged', `answers for ${asked} with ${said}`);
  }

  async #bytes(answer: WebAnswer): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of answer.body()) {
      length += chunk.length;
      if (length > manifestBytesMax)
        throw answer.wrong('refused', `gives a manifest of more than ${manifestBytesMax} bytes`, 'no client takes one');
      chunks.push(Uint8Array.from(chunk));
    }
    const announced = lengthOf(answer);
    if (announced !== undefined && announced !== length)
      throw answer.wrong('damaged', `gives ${length} of ${announced} bytes`, 'it is read again');
    return Buffer.concat(chunks);
  }

  #typeOf({ key }: ManifestAt, { digest, bytes }: { digest: Digest; bytes: Buffer }): string {
    try {
      return parseManifest(bytes, undefined).mediaType;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      throw new BackendError('refused', `${this.#api.name}: ${key}: ${digest} is no manifest: ${error.message}`);
    }
  }
}

/** undefined: it does not say. */
export function lengthOf({ headers }: WebAnswer): number | undefined {
  const text = headers['content-length'];
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

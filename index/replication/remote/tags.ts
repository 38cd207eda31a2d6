/**
 * Manifests and tags of a remote: looked up, written and deleted; of a Shoal with the version that a write has here.
 *
 * Rule: a Shoal answers each write of a tag with the version that stands there. One that does not has made it a write of its
 *   own, which would come back: nothing more goes there until it has been asked again who it is.
 */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import { REPLICATION_HEADERS, tagVersionIn } from '../../../core/contracts/replicate/headers.ts';
import { type Digest, parseDigest } from '../../../core/digest.ts';
import { MANIFEST_TYPES } from '../../../core/oci/media.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import {
  pullScopes,
  pushScopes,
  type RegistryApi,
  type RegistryCall,
} from '../../../platform/backends/registry/api.ts';
import type { WebAnswer } from '../../../platform/backends/web/answer.ts';
import type { RemoteSettings } from '../config.ts';

const ACCEPT = [...MANIFEST_TYPES.keys()].join(', ');

/** `version`: of a Shoal. */
export type RemoteTag = { readonly digest: Digest; readonly version?: TagVersion | undefined };
export type SentManifest = { readonly digest: Digest; readonly mediaType: string; readonly bytes: Uint8Array };
/** `linked`: the registry itself lists it under its subject. */
export type ManifestTaken = { readonly linked: boolean };
export type TagWrite = { readonly repo: string; readonly tag: string; readonly version: TagVersion };

export class RemoteTags {
  readonly #api: RegistryApi;
  readonly #of: { readonly kind: RemoteSettings['kind']; readonly token: () => string | undefined };

  constructor(
    api: RegistryApi,
    of: { readonly kind: RemoteSettings['kind']; readonly token: () => string | undefined },
  ) {
    this.#api = api;
    this.#of = of;
  }

  /** undefined: there is no such tag. */
  async tag(repo: string, tag: string, signal: AbortSignal): Promise<RemoteTag | undefined> {
    const call = this.#call('HEAD', { repo, reference: tag }, { doing: 'look up', signal });
    const answer = await this.#api.call({ ...call, scopes: pullScopes(this.#api.nameOf(repo, repo)), expect: [404] });
    if (answer.status === 404) {
      await this.#api.absent(answer, call);
      return undefined;
    }
    this.#api.noHtml(answer);
    await answer.discard();
    const digest = parseDigest(answer.headers['docker-content-digest'] ?? '');
    if (digest === undefined)
      throw answer.wrong(
        'unsupported',
        'does not say which manifest the tag is on',
        'it is to answer a HEAD as OCI 1.1 has it',
      );
    return { digest, version: this.#versionIn(answer) };
  }

  /** By its digest. */
  async putManifest(repo: string, manifest: SentManifest, signal: AbortSignal): Promise<ManifestTaken> {
    const answer = await this.#put({ repo, reference: manifest.digest }, manifest, { signal, headers: {} });
    return { linked: answer.headers['oci-subject'] !== undefined };
  }

  /** A tag of a registry that is no write of here. */
  async putPlain(repo: string, tag: string, manifest: SentManifest, signal: AbortSignal): Promise<void> {
    await this.#put({ repo, reference: tag }, manifest, { signal, headers: {} });
  }

  /** The version that stands there; undefined: a registry, that knows none. */
  async putTag(
    { repo, tag, version }: TagWrite,
    manifest: SentManifest,
    signal: AbortSignal,
  ): Promise<TagVersion | undefined> {
    return this.#stands(await this.#put({ repo, reference: tag }, manifest, { signal, headers: this.#as(version) }));
  }

  /** The same of a deletion; of a tag that is not there it is none. */
  async deleteTag({ repo, tag, version }: TagWrite, signal: AbortSignal): Promise<TagVersion | undefined> {
    const call = this.#call('DELETE', { repo, reference: tag }, { doing: 'delete', signal });
    const answer = await this.#api.call({ ...call, headers: this.#as(version), expect: [404] });
    if (answer.status === 404) {
      await this.#api.absent(answer, call);
      return undefined;
    }
    this.#api.noHtml(answer);
    await answer.discard();
    return this.#stands(answer);
  }

  /** A manifest under a tag of a registry, which knows no versions; its bytes. undefined: there is none. */
  async read(repo: string, tag: string, signal: AbortSignal): Promise<string | undefined> {
    const call = this.#call('GET', { repo, reference: tag }, { doing: 'read', signal });
    const answer = await this.#api.call({ ...call, expect: [404] });
    if (answer.status !== 404) return answer.text();
    await this.#api.absent(answer, call);
    return undefined;
  }

  async #put(
    at: { readonly repo: string; readonly reference: string },
    { digest, mediaType, bytes }: SentManifest,
    { signal, headers }: { readonly signal: AbortSignal; readonly headers: Readonly<Record<string, string>> },
  ): Promise<WebAnswer> {
    const own = { ...headers, 'content-type': mediaType, 'content-length': String(bytes.length) };
    const answer = await this.#api.call({
      ...this.#call('PUT', at, { doing: 'write', signal }),
      headers: own,
      body: bytes,
    });
    this.#api.noHtml(answer);
    await answer.discard();
    const kept = parseDigest(answer.headers['docker-content-digest'] ?? '');
    if (kept !== undefined && kept !== digest && kept.split(':')[0] === digest.split(':')[0])
      throw answer.wrong(
        'damaged',
        `has kept ${kept} in place of ${digest}`,
        'it changes manifests as they come: it cannot be written to',
      );
    return answer;
  }

  #call(
    method: 'GET' | 'HEAD' | 'PUT' | 'DELETE',
    { repo, reference }: { readonly repo: string; readonly reference: string },
    more: { readonly doing: string; readonly signal: AbortSignal },
  ): RegistryCall {
    const theirs = this.#api.nameOf(repo, repo);
    const object = `${repo}${reference.includes(':') ? '@' : ':'}${reference}`;
    const path = OCI_PATHS.manifest(theirs, reference);
    return { method, path, scopes: pushScopes(theirs), headers: { accept: ACCEPT }, object, ...more };
  }

  #as(version: TagVersion): Record<string, string> {
    const token = this.#of.token();
    if (this.#of.kind === 'registry' || token === undefined) return {};
    return { [REPLICATION_HEADERS.version]: version, [REPLICATION_HEADERS.token]: token };
  }

  #stands(answer: WebAnswer): TagVersion | undefined {
    if (this.#of.kind === 'registry') return undefined;
    const version = this.#versionIn(answer);
    if (version !== undefined) return version;
    throw answer.wrong(
      'unsupported',
      'does not say which version stands',
      'it is an older Shoal, or something between drops headers: nothing more goes there until that is mended',
    );
  }

  #versionIn(answer: WebAnswer): TagVersion | undefined {
    const text = answer.headers[REPLICATION_HEADERS.version];
    const read = text === undefined || this.#of.kind === 'registry' ? undefined : tagVersionIn(text);
    if (read === undefined) return undefined;
    if (!read.ok) throw answer.wrong('damaged', `answers with a version that is none: ${text?.slice(0, 100)}`);
    return read.value;
  }
}

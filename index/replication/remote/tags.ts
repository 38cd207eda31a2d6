/**
 * Manifests and tags of a remote: looked up, written and deleted; of a Shoal with the version that a write has here.
 *
 * Rule: a Shoal answers each write of a tag with the version that stands there. One that does not has made it a write of its
 *   own, which would come back: nothing more goes there until it has been asked again who it is.
 */

import { errorIn } from '../../../core/contracts/errors.ts';
import type { TagVersion } from '../../../core/contracts/index-api.ts';
import { REPLICATION_HEADERS, tagVersionIn } from '../../../core/contracts/replicate/headers.ts';
import { type Digest, parseDigest } from '../../../core/digest.ts';
import { MANIFEST_TYPES } from '../../../core/oci/media.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import {
  deleteScopes,
  pullScopes,
  pushScopes,
  type RegistryApi,
  type RegistryCall,
} from '../../../platform/backends/registry/api.ts';
import type { WebAnswer } from '../../../platform/backends/web/answer.ts';
import type { RemoteSettings } from '../config.ts';

const ACCEPT = [...MANIFEST_TYPES.keys()].join(', ');

/** `version`: of a Shoal. `index`: its manifest has others. */
export type RemoteTag = { readonly digest: Digest; readonly version?: TagVersion | undefined; readonly index: boolean };
/** As it stands there. */
export type RemoteManifest = { readonly mediaType: string | undefined; readonly bytes: Uint8Array };
/** needed: by these tags, or by an index where there are none. unable: it deletes nothing on behalf of others. */
export type Unneeded =
  | { readonly kind: 'deleted' | 'there' | 'unable' }
  | { readonly kind: 'needed'; readonly tags: readonly string[] };
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
    const type = answer.headers['content-type']?.split(';', 1)[0]?.trim() ?? '';
    return { digest, version: this.#versionIn(answer), index: MANIFEST_TYPES.get(type) === 'index' };
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

  /** A manifest of a Shoal, deleted there unless something needs it. */
  async deleteUnneeded(
    { repo, digest, version }: { readonly repo: string; readonly digest: Digest; readonly version: TagVersion },
    signal: AbortSignal,
  ): Promise<Unneeded> {
    const call = this.#call('DELETE', { repo, reference: digest }, { doing: 'delete', signal });
    const headers = this.#as(version);
    // Without these it would be a deletion as any client's.
    if (Object.keys(headers).length === 0) return { kind: 'unable' };
    const answer = await this.#api.call({ ...call, headers, expect: [404, 405, 409] });
    if (answer.status === 409) {
      const said = errorIn(await answer.json());
      const { tags } = (said?.detail ?? {}) as { readonly tags?: unknown };
      if (said?.code !== 'MANIFEST_NEEDED' || !Array.isArray(tags)) throw answer.wrong('refused', 'HTTP 409');
      return { kind: 'needed', tags: tags.map(String) };
    }
    if (answer.status === 404) await this.#api.absent(answer, call);
    else await answer.discard();
    return { kind: answer.status === 404 ? 'there' : answer.status === 405 ? 'unable' : 'deleted' };
  }

  /** A manifest of a registry, with every tag on it. False: there was none. */
  async deleteManifest(repo: string, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const call = this.#call('DELETE', { repo, reference: digest }, { doing: 'delete', signal });
    const answer = await this.#api.call({ ...call, expect: [404] });
    if (answer.status === 404) await this.#api.absent(answer, call);
    else await answer.discard();
    return answer.status !== 404;
  }

  /** A manifest that stands there, by its digest or by a tag; undefined: there is none. */
  async read(repo: string, reference: string, signal: AbortSignal): Promise<RemoteManifest | undefined> {
    const call = this.#call('GET', { repo, reference }, { doing: 'read', signal });
    const answer = await this.#api.call({ ...call, expect: [404] });
    if (answer.status !== 404)
      return { mediaType: answer.headers['content-type'], bytes: Buffer.from(await answer.text()) };
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
    const scopes = method === 'DELETE' ? deleteScopes(theirs) : pushScopes(theirs);
    return { method, path, scopes, headers: { accept: ACCEPT }, object, ...more };
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

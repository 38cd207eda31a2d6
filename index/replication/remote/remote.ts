/**
 * Another cluster, or any registry, as what is sent there needs it: by its public registry API, and nothing else.
 *
 * Rule 1: a Shoal is asked who it is before anything goes there, and again now and then and after a doubt: one that is this
 *   very cluster, that takes no versions from us, or says nothing of itself (an older one) gets nothing. Each write of a
 *   tag there has the version that it has here.
 * Rule 2: the secret goes to the remote itself, never to where it may send us.
 */

import { readFile } from 'node:fs/promises';
import { askedForReplication, introducedIn, REPLICATION_HEADERS } from '../../../core/contracts/replicate/headers.ts';
import type { Digest } from '../../../core/digest.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { BackendError } from '../../../platform/backends/backend.ts';
import { pullScopes, RegistryApi } from '../../../platform/backends/registry/api.ts';
import { RegistryBlobs } from '../../../platform/backends/registry/blobs.ts';
import { RegistryManifests } from '../../../platform/backends/registry/manifests.ts';
import { readNames } from '../../../platform/backends/registry/names.ts';
import { ourName } from '../../../platform/backends/registry/namespace.ts';
import type { Env } from '../../../platform/config/yaml.ts';
import type { Clock } from '../../../platform/net/clock.ts';
import { type RemoteSettings, registrySettings } from '../config.ts';
import { RemoteTags } from './tags.ts';
import { RemoteUploads } from './uploads.ts';

/** So long is who it is believed: a secret that was taken from it there shows soon. */
const introducedMs = 60_000;
const tokenBytesMin = 16;

export type RemoteOpening = {
  readonly name: string;
  readonly settings: RemoteSettings;
  /** This cluster, as its index knows itself. */
  readonly cluster: string;
  readonly env: Env;
  readonly clock: Clock;
};

export class RemoteRegistry implements Disposable {
  readonly name: string;
  readonly url: string;
  readonly kind: RemoteSettings['kind'];
  readonly tags: RemoteTags;
  readonly uploads: RemoteUploads;
  /** Which cluster it said to be. */
  cluster: string | undefined;
  /** Whether it takes deletions of manifests; undefined: it has not been asked. */
  deletions: boolean | undefined;
  readonly #opening: RemoteOpening;
  readonly #api: RegistryApi;
  readonly #blobs: RegistryBlobs;
  readonly #manifests: RegistryManifests;
  #token: string | undefined;
  #introducedAtMs = Number.NEGATIVE_INFINITY;

  constructor(opening: RemoteOpening) {
    const { name, settings, env, clock } = opening;
    const registry = registrySettings(settings);
    this.#opening = opening;
    this.name = name;
    this.url = settings.url;
    this.kind = settings.kind;
    this.#api = new RegistryApi(registry, { name: `remote ${name}`, stallMs: settings.stall, env, clock });
    this.#blobs = new RegistryBlobs(this.#api);
    this.#manifests = new RegistryManifests(this.#api);
    this.tags = new RemoteTags(this.#api, { kind: settings.kind, token: () => this.#token });
    this.uploads = new RemoteUploads(this.#api, { ...settings, chunk: registry.chunk, clock });
  }

  [Symbol.dispose](): void {
    this.#api[Symbol.dispose]();
  }

  /** Throws BackendError where nothing may go there now. */
  async introduced(signal: AbortSignal): Promise<void> {
    const { clock, settings } = this.#opening;
    if (clock.nowMs() - this.#introducedAtMs < introducedMs) return;
    if (settings.kind === 'registry') await this.#api.prove(signal, true);
    else await this.#introduce(signal);
    this.#introducedAtMs = clock.nowMs();
  }

  /** Something was refused there: who it is is asked again before the next thing goes. */
  doubt(): void {
    this.#introducedAtMs = Number.NEGATIVE_INFINITY;
  }

  async hasManifest(repo: string, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const at = { repo: this.nameOf(repo), reference: digest, key: `${repo}@${digest}` };
    return (await this.#manifests.sizeOf(at, signal)) !== undefined;
  }

  async hasBlob(repo: string, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const at = { repo: this.nameOf(repo), digest, key: `${repo}@${digest}` };
    return (await this.#blobs.sizeOf(at, signal)) !== undefined;
  }

  /** Of a repository here; none where there is none. */
  async tagNames(repo: string, signal: AbortSignal): Promise<readonly string[]> {
    return readNames(this.#api, this.nameOf(repo), signal);
  }

  /** As they are called there. */
  async repositories(signal: AbortSignal): Promise<readonly string[]> {
    return readNames(this.#api, undefined, signal);
  }

  /** What `repo` is called there. */
  nameOf(repo: string): string {
    return this.#api.nameOf(repo, repo);
  }

  /** What a repository there is called here; undefined: it is none of what goes there. */
  ourName(theirs: string): string | undefined {
    return ourName(registrySettings(this.#opening.settings).namespace, theirs);
  }

  async #introduce(signal: AbortSignal): Promise<void> {
    this.#token = await this.#secret();
    const headers = { [REPLICATION_HEADERS.taken]: askedForReplication, [REPLICATION_HEADERS.token]: this.#token };
    const doing = 'ask which cluster this is';
    const call = { method: 'GET', path: OCI_PATHS.base, scopes: pullScopes('*'), signal, headers, doing } as const;
    const answer = await this.#api.call({ ...call, scopes: [], object: undefined });
    this.#api.noHtml(answer);
    await answer.discard();
    const said = introducedIn(answer.headers);
    this.cluster = said?.cluster;
    this.deletions = said?.deletions;
    if (said === undefined)
      throw answer.wrong(
        'unsupported',
        'does not say which cluster it is',
        'it is an older Shoal, or none: update it, or say `kind: registry`',
      );
    if (said.cluster === this.#opening.cluster)
      throw answer.wrong('unsupported', 'says to be this very cluster', 'mend the `url` of this remote');
    if (said.taken === 'off')
      throw answer.wrong('denied', 'takes no versions of others', 'set `replication.receive` of its proxies');
    if (said.taken === 'refused')
      throw answer.wrong('denied', 'does not know our secret', 'let `token` be one of its `replication.receive`');
  }

  async #secret(): Promise<string> {
    const { name, settings } = this.#opening;
    if (settings.tokenFile === undefined) return settings.token ?? '';
    const wrong = (why: string): BackendError =>
      new BackendError('credentials', `remote ${name}: \`tokenFile\` ${settings.tokenFile}: ${why}`);
    const text = await readFile(settings.tokenFile, 'utf8').catch((error: Error) => {
      throw wrong(error.message);
    });
    const [token = ''] = text.split('\n').map((line) => line.trim());
    if (Buffer.byteLength(token) < tokenBytesMin)
      throw wrong(`its first line is no secret of ${tokenBytesMin} characters`);
    return token;
  }
}

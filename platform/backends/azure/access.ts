/**
 * What requests are allowed by, and where they go: a key, a signature, a connection string, or the identity of this host.
 * Looked up again when it is refused.
 *
 * Rule: whoever was refused asks for another one by naming the one that it had: those who were refused together look up
 *       once, and so often at most.
 */

import { readFile } from 'node:fs/promises';
import { BackendError } from '../backend.ts';
import type { WebOpening, WebRequester } from '../web/requester.ts';
import type { AzureSettings } from './config.ts';
import { connectionOf } from './connection-string.ts';
import { AzureIdentity } from './identity.ts';
import { accessReloadMsMin } from './limits.ts';
import { type Signed, sharedKey } from './shared-key.ts';

export type Access = {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** Another one where the credentials are others. */
  readonly id: string;
  /** The request as it goes out. */
  readonly allow: (request: Signed) => Pick<Signed, 'url' | 'headers'>;
};

type Place = { readonly endpoint: string; readonly account: string | undefined };

export class AzureAccess {
  readonly #opening: WebOpening;
  readonly #settings: AzureSettings;
  readonly #identity: AzureIdentity;
  #read: Promise<Access> | undefined;
  #readMs = Number.NEGATIVE_INFINITY;

  constructor(settings: AzureSettings, opening: WebOpening, web: WebRequester) {
    this.#opening = opening;
    this.#settings = settings;
    this.#identity = new AzureIdentity(opening, web);
  }

  async now(signal: AbortSignal): Promise<Access> {
    if (this.#settings.credentials === undefined) return bearer(this.#place(), await this.#identity.token(signal));
    this.#read ??= this.#look();
    const read = this.#read;
    try {
      return await read;
    } catch (error) {
      if (this.#read === read) this.#read = undefined;
      throw error;
    }
  }

  async others(refused: Access, signal: AbortSignal): Promise<boolean> {
    if ((await this.now(signal)).id !== refused.id) return true;
    const nowMs = this.#opening.clock.nowMs();
    if (nowMs - this.#readMs < accessReloadMsMin) return false;
    this.#readMs = nowMs;
    this.#read = undefined;
    this.#identity.forget();
    return (await this.now(signal)).id !== refused.id;
  }

  #place(): Place {
    const { account, endpoint } = this.#settings;
    return { account, endpoint: endpoint ?? `https://${account}.blob.core.windows.net` };
  }

  async #look(): Promise<Access> {
    const said = this.#settings.credentials;
    if (said === undefined) throw this.#wrong('there are none');
    if ('sharedKey' in said) return keyed(this.#place(), await this.#secret(said.sharedKey));
    if ('sas' in said) return signedFor(this.#place(), await this.#secret(said.sas));
    const found = connectionOf(await this.#secret(said.connectionString));
    if (typeof found === 'string') throw this.#wrong(`the connection string ${found}`);
    return found.sas === undefined ? keyed(found, found.sharedKey ?? '') : signedFor(found, found.sas);
  }

  async #secret(said: string | { readonly file: string }): Promise<string> {
    if (typeof said === 'string') return said;
    try {
      return (await readFile(said.file, 'utf8')).trim();
    } catch (error) {
      throw this.#wrong((error as Error).message, error);
    }
  }

  #wrong(words: string, error?: unknown): BackendError {
    const message = `${this.#opening.name}: cannot read its credentials: ${words}: look at \`credentials\` of this rule`;
    return new BackendError('credentials', message, { error });
  }
}

function keyed({ endpoint, account = '' }: Place, key: string): Access {
  const allow: Access['allow'] = (request) => ({
    url: request.url,
    headers: { ...request.headers, authorization: sharedKey({ account, key }, request) },
  });
  return { endpoint, id: `key ${key}`, allow };
}

function signedFor({ endpoint }: Place, sas: string): Access {
  const allow: Access['allow'] = ({ url, headers }) => {
    const signed = new URL(url);
    for (const [name, value] of new URLSearchParams(sas.replace(/^\?/, ''))) signed.searchParams.append(name, value);
    return { url: signed, headers };
  };
  return { endpoint, id: `sas ${sas}`, allow };
}

function bearer({ endpoint }: Place, token: string): Access {
  const allow: Access['allow'] = ({ url, headers }) => ({
    url,
    headers: { ...headers, authorization: `Bearer ${token}` },
  });
  return { endpoint, id: `token ${token}`, allow };
}

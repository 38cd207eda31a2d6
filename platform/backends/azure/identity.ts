/**
 * Tokens of Azure's for the identity of this host or process, by its own library: a secret in the environment
 * (AZURE_CLIENT_SECRET), workload identity (AZURE_FEDERATED_TOKEN_FILE), else managed identity. The library keeps them
 * until shortly before they are over.
 *
 * Rule: what it asks of others goes out by our own requests: by the proxy, the authority and the environment that the
 *       backend was opened with. What it asks over http is on this host or beside it, and no proxy's business.
 */

import {
  createHttpHeaders,
  type HttpClient,
  type PipelineRequest,
  type PipelineResponse,
} from '@azure/core-rest-pipeline';
import {
  ClientSecretCredential,
  ManagedIdentityCredential,
  type TokenCredential,
  WorkloadIdentityCredential,
} from '@azure/identity';
import type { Env } from '../../config/yaml.ts';
import { BackendError } from '../backend.ts';
import { untilAborted } from '../until.ts';
import type { WebCall } from '../web/call.ts';
import { type WebOpening, WebRequester } from '../web/requester.ts';
import { identityMsMax } from './limits.ts';

const scope = 'https://storage.azure.com/.default';
/** Of an answer: whatever the status, the library reads it. */
const anyStatus = Array.from({ length: 300 }, (_, i) => 300 + i);

export class AzureIdentity {
  readonly #opening: WebOpening;
  readonly #web: WebRequester;
  /** Without any proxy. */
  readonly #beside: WebRequester;
  #credential: TokenCredential | undefined;
  /** The last request that was not answered: the library says no more of it than that it failed. */
  #unanswered: unknown;

  constructor(opening: WebOpening, web: WebRequester) {
    this.#opening = opening;
    this.#web = web;
    this.#beside = new WebRequester({ ...opening, env: {} });
  }

  forget(): void {
    this.#credential = undefined;
  }

  async token(signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    this.#unanswered = undefined;
    try {
      this.#credential ??= this.#find();
      const found = await untilAborted(this.#credential.getToken(scope), signal);
      if (found !== null) return found.token;
    } catch (error) {
      signal.throwIfAborted();
      this.#credential = undefined;
      throw this.#failed(error);
    }
    throw this.#failed(new Error('there is none'));
  }

  #find(): TokenCredential {
    const { env } = this.#opening;
    const { AZURE_TENANT_ID: tenantId, AZURE_CLIENT_ID: clientId, AZURE_CLIENT_SECRET: secret } = set(env);
    const { AZURE_FEDERATED_TOKEN_FILE: tokenFilePath, AZURE_AUTHORITY_HOST: authorityHost } = set(env);
    const options = {
      httpClient: this.#client(),
      retryOptions: { maxRetries: 0 },
      disableInstanceDiscovery: true,
      ...(authorityHost !== undefined && { authorityHost }),
    };
    if (tenantId !== undefined && clientId !== undefined && secret !== undefined)
      return new ClientSecretCredential(tenantId, clientId, secret, options);
    if (tenantId !== undefined && clientId !== undefined && tokenFilePath !== undefined)
      return new WorkloadIdentityCredential({ ...options, tenantId, clientId, tokenFilePath });
    return new ManagedIdentityCredential({ ...options, ...(clientId !== undefined && { clientId }) });
  }

  #client(): HttpClient {
    return {
      sendRequest: async (request) => {
        const url = new URL(request.url);
        try {
          return await answered(url.protocol === 'http:' ? this.#beside : this.#web, url, request);
        } catch (error) {
          this.#unanswered = error;
          throw error;
        }
      },
    };
  }

  #failed(error: unknown): BackendError {
    if (this.#unanswered instanceof BackendError) return this.#unanswered;
    const [words] = (error as Error).message.split('\n');
    const message = `${this.#opening.name}: cannot get a token: ${words}: name \`credentials\` in this rule, or give this host a managed identity, or this process a workload identity (AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE)`;
    return new BackendError('credentials', message, { error });
  }
}

async function answered(web: WebRequester, url: URL, request: PipelineRequest): Promise<PipelineResponse> {
  const { method, body } = request;
  const signals = [AbortSignal.timeout(identityMsMax)];
  if (request.abortSignal instanceof AbortSignal) signals.push(request.abortSignal);
  const answer = await web.request({
    method: method as WebCall['method'],
    url,
    headers: request.headers.toJSON(),
    ...(typeof body === 'string' && { body: Buffer.from(body) }),
    expect: anyStatus,
    signal: AbortSignal.any(signals),
    ...{ doing: 'get a token', object: undefined },
  });
  const headers = createHttpHeaders();
  for (const [name, value] of Object.entries(answer.headers)) if (value !== undefined) headers.set(name, value);
  return { request, status: answer.status, headers, bodyAsText: await answer.text() };
}

/** What is said, and not only there. */
function set(env: Env): Env {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
}

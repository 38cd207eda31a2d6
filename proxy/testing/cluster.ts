/** A proxy, or several, over fake origins and a fake index: what the proxy's tests start with. */

import { createHash } from 'node:crypto';
import { type ClientRequest, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { Digest } from '../../core/digest.ts';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import type { QuotaRule } from '../../core/quota.ts';
import type { ReplicaRules } from '../../core/rendezvous/replicas.ts';
import { originMembers } from '../../platform/clients/origin.ts';
import { Origins, type OriginsOptions } from '../../platform/clients/origins.ts';
import { createHttp, listen } from '../../platform/http/server.ts';
import { fixedList, type MemberList } from '../../platform/members/list.ts';
import { realClock } from '../../platform/net/clock.ts';
import { registerRegistry } from '../../platform/registry/routes.ts';
import type { KeyedPolicy } from '../../platform/signatures/config.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import type { ReceiveSettings } from '../receiving.ts';
import { ProxyRegistry } from '../registry.ts';
import { signedTags } from '../signed.ts';
import { type FakeIndex, fakeIndex } from './fake-index.ts';
import { FakeOrigin } from './fake-origin.ts';

export type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: Buffer };
export type Send = {
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array | string;
  /** Sends no Content-Length, as docker does. */
  readonly streamed?: boolean;
};

export class TestProxy {
  readonly port: number;
  readonly #close: () => Promise<void>;

  constructor(port: number, close: () => Promise<void>) {
    this.port = port;
    this.#close = close;
  }

  static async start(parts: {
    index: FakeIndex;
    origins: Omit<OriginsOptions, 'members'> & { urls: readonly string[]; list?: MemberList; ids?: boolean };
    originStallMs?: number;
    trustedProxies?: string[];
    replicas?: ReplicaRules;
    receive?: ReceiveSettings | undefined;
    quotas?: readonly QuotaRule[] | undefined;
    policies?: readonly KeyedPolicy[] | undefined;
  }): Promise<TestProxy> {
    const [log, metrics] = [silentLog(), new Metrics()];
    const { index, policies } = parts;
    const { list = fixedList(parts.origins.urls), ids = false } = parts.origins;
    const timing = { everyMs: 50, withinMs: 400, fails: 2, passes: 2 };
    const members = originMembers(list, ids ? { ids, timing } : {});
    const origins = new Origins({ ...parts.origins, members });
    const app = createHttp({ role: 'proxy', log, metrics, readiness: async () => [] });
    const registry = new ProxyRegistry({
      index,
      origins,
      log,
      originStallMs: parts.originStallMs ?? 5000,
      replicas: { rules: parts.replicas },
      receive: parts.receive,
      quotas: parts.quotas && { rules: parts.quotas },
      signed: policies && signedTags({ policies, index, origins, log, metrics, clock: realClock }),
    });
    registerRegistry(app, registry, {
      stallMs: 5000,
      pauseMs: 5000,
      lingerMs: 500,
      trustedProxies: parts.trustedProxies ?? [],
    });
    const listening = await listen(app, { host: '127.0.0.1', port: 0 });
    return new TestProxy(listening.port, async () => {
      await listening[Symbol.asyncDispose]();
      await members[Symbol.asyncDispose]();
    });
  }

  /** The path goes out as it is written: no client normalises it. */
  open(method: string, path: string, headers: Record<string, string> = {}): ClientRequest {
    return httpRequest({ host: '127.0.0.1', port: this.port, method, path, headers, agent: false });
  }

  async send(method: string, path: string, send: Send = {}): Promise<Answer> {
    const body = send.body === undefined ? undefined : Buffer.from(send.body);
    const sized = send.streamed === true ? {} : { 'content-length': String(body?.length ?? 0) };
    const request = this.open(method, path, { ...sized, ...send.headers });
    const answer = answerTo(request);
    request.end(body);
    return answer;
  }

  async close(): Promise<void> {
    await this.#close();
  }
}

/** The whole answer. A response that is cut rejects. */
export function answerTo(request: ClientRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response: IncomingMessage) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.once('error', reject);
      response.once('close', () => {
        if (!response.complete) reject(new Error('the response was cut'));
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) });
      });
    });
  });
}

export class TestCluster {
  readonly index = fakeIndex();
  readonly origins: FakeOrigin[] = [];
  readonly proxies: TestProxy[] = [];

  static async start(
    options: {
      origins?: number;
      proxies?: number;
      required?: number;
      originStallMs?: number;
      trustedProxies?: string[];
      replicas?: ReplicaRules;
      receive?: ReceiveSettings;
      quotas?: readonly QuotaRule[];
      policies?: readonly KeyedPolicy[];
    } = {},
  ) {
    const cluster = new TestCluster();
    for (let i = 0; i < (options.origins ?? 2); i++) cluster.origins.push(await FakeOrigin.start());
    const origins = { urls: cluster.origins.map(({ url }) => url), copies: 2, required: options.required ?? 1 };
    for (let i = 0; i < (options.proxies ?? 1); i++) {
      const { index } = cluster;
      const { originStallMs = 5000, trustedProxies = [], replicas, receive, quotas, policies } = options;
      cluster.proxies.push(
        await TestProxy.start({
          index,
          origins,
          originStallMs,
          trustedProxies,
          receive,
          quotas,
          policies,
          ...(replicas && { replicas }),
        }),
      );
    }
    return cluster;
  }

  get proxy(): TestProxy {
    return this.proxies[0] as TestProxy;
  }

  /** Origins that hold the blob with exactly these bytes. */
  holders(bytes: Uint8Array, algorithm = 'sha256'): number {
    const digest = digestOfBytes(bytes, algorithm);
    return this.origins.filter((origin) => origin.blobs.get(digest)?.equals(bytes)).length;
  }

  /** Pushes a blob in one request. */
  async push(repo: string, bytes: Uint8Array): Promise<Digest> {
    const digest = digestOfBytes(bytes);
    const answer = await this.proxy.send('POST', OCI_PATHS.commit(OCI_PATHS.uploads(repo), digest), { body: bytes });
    if (answer.status !== 201) throw new Error(`push: ${answer.status} ${answer.body.toString()}`);
    return digest;
  }

  async close(): Promise<void> {
    await Promise.all(this.proxies.map((proxy) => proxy.close()));
    await Promise.all(this.origins.map((origin) => origin.kill().catch(() => undefined)));
  }
}

export function digestOfBytes(bytes: Uint8Array, algorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

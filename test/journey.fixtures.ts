/**
 * Which files one cold pull passes through in an agent, and one push in a proxy: real processes, watched over V8's
 * inspector, which counts how often each function ran. A file counts where one of its functions ran between the
 * journey's first request and its last byte; that its module was loaded, or ran before, does not count. A worker
 * thread's files count as its process's.
 */

import { createHash, randomBytes } from 'node:crypto';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Cluster } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';
import { startParts } from './cluster.fixtures.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Thirty-two pieces: all of a swarm's ways are gone, and a run takes a second. */
const blobBytes = 8 << 20;
/** So few functions of a file are told by name: perhaps they belong to whoever calls them. */
const namesMax = 4;

/** Functions that ran, by file from the repository's root, busiest first. */
export type Passed = readonly {
  readonly file: string;
  readonly functions: readonly string[];
  readonly calls: number;
}[];

type Message = { readonly id?: number; readonly method?: string; readonly params?: object; readonly result?: object };
type Ran = { readonly functionName: string; readonly ranges: readonly { startOffset: number; count: number }[] };
type Scripts = { readonly result: readonly { readonly url: string; readonly functions: readonly Ran[] }[] };
type Wrapped = { readonly sessionId: string; readonly message: string };

/** A process's inspector, and through it those of its worker threads. */
class Watch implements Disposable {
  readonly #socket: WebSocket;
  readonly #answers = new Map<string, (result: object) => void>();
  /** The main thread is ''. */
  readonly #threads = new Set(['']);
  #id = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => this.#heard('', JSON.parse(String(data))));
  }

  /** From now on every call is counted in the process whose inspector listens on `port`. */
  static async at(port: number): Promise<Watch> {
    const [target] = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as [
      { webSocketDebuggerUrl: string },
    ];
    const socket = new WebSocket(target.webSocketDebuggerUrl);
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve());
      socket.addEventListener('error', () => reject(new Error(`no inspector on port ${port}`)));
    });
    const watch = new Watch(socket);
    await watch.#ask('', 'NodeWorker.enable', { waitForDebuggerOnStart: false });
    for (const thread of watch.#threads) {
      await watch.#ask(thread, 'Profiler.enable');
      await watch.#ask(thread, 'Profiler.startPreciseCoverage', { callCount: true, detailed: false });
    }
    return watch;
  }

  /** What ran since the last look. */
  async look(): Promise<Passed> {
    const files = new Map<string, { functions: string[]; calls: number }>();
    for (const thread of this.#threads) {
      const { result } = (await this.#ask(thread, 'Profiler.takePreciseCoverage')) as Scripts;
      for (const { url, functions } of result.filter((script) => ours(script.url))) {
        const file = relative(root, fileURLToPath(url));
        const ran = functions.filter(isCalled);
        const before = files.get(file) ?? { functions: [], calls: 0 };
        const calls = ran.reduce((sum, { ranges }) => sum + (ranges[0]?.count ?? 0), before.calls);
        const names = [...before.functions, ...ran.map(({ functionName }) => functionName || '(nameless)')];
        if (ran.length > 0) files.set(file, { functions: names, calls });
      }
    }
    return [...files].map(([file, ran]) => ({ file, ...ran })).sort((a, b) => b.calls - a.calls);
  }

  #ask(thread: string, method: string, params: object = {}): Promise<object> {
    const id = ++this.#id;
    const message = JSON.stringify({ id, method, params });
    const { promise, resolve } = Promise.withResolvers<object>();
    this.#answers.set(`${thread}:${id}`, resolve);
    if (thread === '') this.#socket.send(message);
    else void this.#ask('', 'NodeWorker.sendMessageToWorker', { sessionId: thread, message });
    return promise;
  }

  #heard(thread: string, { id, method, params, result }: Message): void {
    if (method === 'NodeWorker.attachedToWorker') this.#threads.add((params as Wrapped).sessionId);
    if (method === 'NodeWorker.receivedMessageFromWorker') {
      const { sessionId, message } = params as Wrapped;
      this.#heard(sessionId, JSON.parse(message));
    }
    this.#answers.get(`${thread}:${id}`)?.(result ?? {});
    this.#answers.delete(`${thread}:${id}`);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

const ours = (url: string): boolean => url.startsWith(`file://${root}`) && !url.includes('/node_modules/');

/** The function without a name that begins with its file is the module itself. */
const isCalled = ({ functionName, ranges }: Ran): boolean =>
  (ranges[0]?.count ?? 0) > 0 && !(functionName === '' && ranges[0]?.startOffset === 0);

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
async function ask(method: string, url: string, status: number, body?: Uint8Array<ArrayBuffer>): Promise<Response> {
  const answer = await fetch(url, { method, ...(body === undefined ? {} : { body }) });
  if (answer.status !== status) throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`);
  return answer;
}

/** As docker does: is it there, an upload, its bytes, its digest. */
async function pushBlob(registry: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  await ask('HEAD', `${registry}/v2/app/blobs/${digestOf(bytes)}`, 404);
  const begun = await ask('POST', `${registry}/v2/app/blobs/uploads/`, 202);
  const at = new URL(begun.headers.get('location') ?? '', registry);
  const sent = await ask('PATCH', at.href, 202, bytes);
  const end = new URL(sent.headers.get('location') ?? '', registry);
  end.searchParams.set('digest', digestOf(bytes));
  await ask('PUT', end.href, 201);
}

async function pullBlob(registry: string, bytes: Uint8Array): Promise<void> {
  const answer = await ask('GET', `${registry}/v2/app/blobs/${digestOf(bytes)}`, 200);
  const got = new Uint8Array(await answer.arrayBuffer());
  if (digestOf(got) !== digestOf(bytes)) throw new Error('the agent gave other bytes');
}

/** A blob pushed through a proxy and pulled through an agent that has none: what each passed through meanwhile. */
export async function journeys(cluster: Cluster): Promise<{ push: Passed; pull: Passed }> {
  const [agentPort, proxyPort] = [await freePort(), await freePort()];
  const inspect = (port: number): string[] => [`--inspect=127.0.0.1:${port}`];
  const flags = { agent: inspect(agentPort), proxy: inspect(proxyPort) };
  // A check of the origins that comes due meanwhile is no part of a push.
  // As it runs where nobody looks for anything: lines for debugging pass through files of their own.
  const settings = { log: { level: 'info' } };
  const { agent, proxy } = await startParts(cluster, { flags, settings, proxy: { members: { check: '1h' } } });
  const blob = randomBytes(blobBytes);
  using pushed = await Watch.at(proxyPort);
  await pushed.look();
  await pushBlob(proxy.url('registry'), blob);
  const push = await pushed.look();
  using pulled = await Watch.at(agentPort);
  await pulled.look();
  await pullBlob(agent.url('registry'), blob);
  return { push, pull: await pulled.look() };
}

export const inCore = ({ file }: Passed[number]): boolean => file.startsWith('core/');

const told = (functions: readonly string[]): string =>
  functions.length > namesMax ? `${functions.length} functions` : functions.join(', ');

/** For people: a line a file, the busiest first; those of core/ at the end. */
export function listOf(journey: string, passed: Passed): string {
  const lines = (files: Passed): string =>
    files.map(({ file, functions, calls }) => `  ${file}  ${calls} calls of ${told(functions)}`).join('\n');
  const [core, others] = [passed.filter(inCore), passed.filter((one) => !inCore(one))];
  return `${journey}: ${others.length} files\n${lines(others)}\n  and ${core.length} of core/\n${lines(core)}`;
}

/**
 * Requests of WebHDFS: to the NameNode that is active, and to the DataNode that it names.
 *
 * Rule 1: the NameNode that answered last is asked first. Who is no active one, does not answer in its time or is no
 *         WebHDFS gives way to the next; what an active one says counts, whatever it is.
 * Rule 2: a request may have been done though it was not answered: whoever asks for a change can tell whether it was.
 * Rule 3: a token goes to NameNodes, and to where they send us; never from https to http, and into no message.
 */

import { BackendError } from '../backend.ts';
import type { Opening } from '../kind.ts';
import type { WebAnswer } from '../web/answer.ts';
import { nextHop } from '../web/redirects.ts';
import { WebRequester } from '../web/requester.ts';
import type { WebVerdict } from '../web/verdicts.ts';
import type { HdfsSettings } from './config.ts';
import { Identity } from './identity.ts';
import { notActive, type Remote, RemoteError, remoteOf, verdictOfRemote, verdictWithout } from './remote.ts';

export type HdfsCall = {
  readonly method: 'GET' | 'PUT' | 'DELETE';
  readonly op: string;
  /** Absolute, in names (names.ts). */
  readonly path: string;
  readonly params?: Readonly<Record<string, string>>;
  /** For messages. */
  readonly doing: string;
  readonly object: string | undefined;
  readonly signal: AbortSignal;
};
/** What goes to a DataNode. */
export type HdfsBody = { readonly size: number; readonly chunks: AsyncIterable<Uint8Array> };

const elsewhere = 307;

export class WebHdfs implements Disposable {
  readonly name: string;
  readonly #nodes: readonly string[];
  readonly #identity: Identity;
  /** Two, since a NameNode that hangs is left sooner: another one may answer meanwhile. */
  readonly #nameNodes: WebRequester;
  readonly #dataNodes: WebRequester;
  #live = 0;

  constructor(settings: HdfsSettings, opening: Omit<Opening, 'metrics' | 'log'>) {
    const { name, clock, env, stallMs } = opening;
    this.name = name;
    this.#nodes = settings.nameNodes.map((at) => `${settings.https ? 'https' : 'http'}://${at}`);
    this.#identity = new Identity(name, settings, clock);
    this.#nameNodes = new WebRequester(
      { name, clock, env, stallMs: Math.ceil(stallMs / (this.#nodes.length + 1)) },
      settings,
    );
    this.#dataNodes = new WebRequester({ name, clock, env, stallMs }, settings);
  }

  /** Of a NameNode. */
  async ask(call: HdfsCall): Promise<WebAnswer> {
    const failures: { node: string; error: BackendError }[] = [];
    const first = this.#live;
    for (let tried = 0; tried < this.#nodes.length; tried++) {
      const at = (first + tried) % this.#nodes.length;
      const node = this.#nodes[at] ?? '';
      try {
        const answer = await this.#identified(node, call);
        this.#live = at;
        return answer;
      } catch (error) {
        if (!(error instanceof BackendError)) throw error;
        const answered = error instanceof RemoteError && !notActive(error.remote);
        if (answered || !['unavailable', 'stalled', 'throttled'].includes(error.why)) {
          this.#live = at;
          throw error;
        }
        failures.push({ node, error });
      }
    }
    throw this.#noneActive(call, failures);
  }

  /** Of a DataNode, as the NameNode says; a gateway (HttpFS) may answer by itself. */
  async follow(call: HdfsCall, body?: HdfsBody): Promise<WebAnswer> {
    const answer = await this.ask(call);
    if (answer.status !== elsewhere) return answer;
    const from = { url: answer.url, method: call.method, headers: {} };
    const hop = nextHop(from, { status: answer.status, location: answer.headers['location'] }, { max: 1 });
    await answer.discard();
    if (typeof hop === 'string') throw answer.wrong('refused', hop, 'look at the addresses of the DataNodes');
    return await this.#asked(this.#dataNodes, hop.url, call, body);
  }

  [Symbol.dispose](): void {
    this.#nameNodes[Symbol.dispose]();
    this.#dataNodes[Symbol.dispose]();
  }

  async #identified(node: string, call: HdfsCall): Promise<WebAnswer> {
    const said = await this.#identity.said();
    try {
      return await this.#asked(this.#nameNodes, urlOf(node, call, said), call);
    } catch (error) {
      const refused = error instanceof BackendError && error.why === 'credentials';
      if (!refused || !(await this.#identity.renewed(said))) throw error;
      return await this.#asked(this.#nameNodes, urlOf(node, call, await this.#identity.said()), call);
    }
  }

  async #asked(to: WebRequester, url: URL, call: HdfsCall, body?: HdfsBody): Promise<WebAnswer> {
    let remote: Remote | undefined;
    const judge = (status: number, text: string): WebVerdict | undefined => {
      remote = remoteOf(text);
      return remote === undefined ? verdictWithout(status) : { ...verdictOfRemote(remote), words: wordsOf(remote) };
    };
    const { method, doing, object, signal } = call;
    const headers = { 'content-length': `${body?.size}`, 'content-type': 'application/octet-stream' };
    try {
      return await to.request({
        ...{ method, url, doing, object, signal, judge, expect: [elsewhere] },
        ...(body !== undefined && { body: body.chunks, headers }),
      });
    } catch (error) {
      throw remote !== undefined && error instanceof BackendError ? new RemoteError(remote, error) : error;
    }
  }

  #noneActive({ doing, object }: HdfsCall, failures: readonly { node: string; error: BackendError }[]): BackendError {
    const first = failures.find(({ error }) => error.why === 'throttled') ?? failures[0];
    if (first !== undefined && (failures.length === 1 || first.error.why === 'throttled')) return first.error;
    const each = failures.map(({ node, error }) => `${node} (${shortly(error)})`);
    const why = failures.every(({ error }) => error.why === 'stalled') ? 'stalled' : 'unavailable';
    const what = object === undefined ? '' : ` ${object}`;
    const message = `${this.name}: cannot ${doing}${what}: no NameNode is active: ${each.join(', ')}: it is asked again; see that one is active, and can be reached from here`;
    return new BackendError(why, message, { error: first?.error });
  }
}

function shortly(error: BackendError): string {
  if (error instanceof RemoteError) return error.remote.exception;
  const { code } = (error.cause ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' ? code : error.why;
}

function wordsOf({ exception, words }: Remote): string {
  return words === '' ? exception : `${exception}: ${words}`;
}

function urlOf(node: string, { op, path, params }: HdfsCall, said: Readonly<Record<string, string>>): URL {
  const url = new URL(`${node}/webhdfs/v1${path.split('/').map(encodeURIComponent).join('/') || '/'}`);
  url.search = new URLSearchParams({ op, ...params, ...said }).toString();
  return url;
}

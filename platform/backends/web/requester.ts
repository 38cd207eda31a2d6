/**
 * Requests to servers of others, one by one: for each kind of backend that speaks HTTP itself.
 *
 * Rule 1: what fails is a BackendError with its cause, which names backend, object, method and address (call.ts); or the
 *         reason of the caller's signal, or what the caller's own body threw.
 * Rule 2: nothing is tried again but a request that a connection lost which the server had closed while it was idle.
 * Rule 3: the other side may be silent for so long: until there is a connection, `webConnectMsMax`; else `stallMs`, and
 *         `storedStalls` times that while it stores a body.
 */

import { readFileSync } from 'node:fs';
import { type Agents, agents } from '../../http/agents.ts';
import { type Answered, type OutgoingPhase, send, staleConnection } from '../../http/outgoing.ts';
import { trustedWith } from '../../net/trust.ts';
import { BackendError } from '../backend.ts';
import type { Opening } from '../kind.ts';
import { WebAnswer } from './answer.ts';
import { networkError, type WebCall, type Where, webError } from './call.ts';
import type { WebTls } from './config.ts';
import { headBytesMax, storedStalls, webConnectMsMax, webSocketsMax } from './limits.ts';
import { type Hop, nextHop, redirects } from './redirects.ts';
import { Silence } from './silence.ts';
import type { WebVerdict } from './verdicts.ts';

export type WebOpening = Pick<Opening, 'name' | 'stallMs' | 'env' | 'clock'>;

const hangs: WebVerdict = { why: 'stalled', remedy: 'it hangs, or the network between does: it is asked again' };

export class WebRequester implements Disposable {
  readonly #opening: WebOpening;
  readonly #agents: Agents;

  /** Reads the files that `tls` names: certificates change rarely, and with a restart. */
  constructor(opening: WebOpening, tls: WebTls = {}) {
    this.#opening = opening;
    const { ca, clientCertificate: own } = tls;
    this.#agents = agents({
      env: opening.env,
      sockets: webSocketsMax,
      ca: ca === undefined ? undefined : trustedWith(readFileSync(ca, 'utf8')),
      certificate: own && { cert: readFileSync(own.certificate, 'utf8'), key: readFileSync(own.key, 'utf8') },
    });
  }

  /** An answer whose status is one of 200 to 299, or that is expected; its body unread. */
  async request(call: WebCall): Promise<WebAnswer> {
    const { redirects: policy, expect = [] } = call;
    const headers = { 'user-agent': 'shoal', 'accept-encoding': 'identity', ...call.headers };
    let hop: Hop = { url: call.url, method: call.method, headers };
    for (let hops = 0; ; hops++) {
      const answer = await this.#reached({ call, hop });
      const { status } = answer;
      if (expect.includes(status) || (status >= 200 && status < 300)) return answer;
      if (policy === undefined || !redirects(status)) throw await answer.failure();
      const next = nextHop(hop, { status, location: answer.headers['location'] }, policy);
      await answer.discard();
      if (typeof next === 'string') throw answer.wrong('refused', next);
      if (hops >= policy.max) throw answer.wrong('refused', `it sends us elsewhere more than ${policy.max} times`);
      if (next.method === hop.method && streams(call.body))
        throw answer.wrong('unsupported', 'it sends us elsewhere once the body has gone out', 'name that address');
      hop = next;
    }
  }

  [Symbol.dispose](): void {
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }

  async #reached(where: Where): Promise<WebAnswer> {
    try {
      return await this.#once(where);
    } catch (error) {
      const { call, hop } = where;
      const stale =
        error instanceof BackendError && (error.cause as { code?: unknown } | undefined)?.code === staleConnection;
      if (!stale || hop.method === 'POST' || streams(call.body)) throw error;
      return await this.#once(where);
    }
  }

  async #once(where: Where): Promise<WebAnswer> {
    const { name, clock, stallMs } = this.#opening;
    const { call, hop } = where;
    call.signal.throwIfAborted();
    const end = new AbortController();
    let reason: unknown;
    const stop = (why: unknown): void => {
      reason ??= why;
      end.abort(why);
    };
    const left = (): void => stop(call.signal.reason);
    const silence = new Silence(clock, (what, ms) =>
      stop(webError(name, where, hangs, { words: `${what} within ${ms / 1000} s` })),
    );
    const over = (): void => {
      silence.rest();
      call.signal.removeEventListener('abort', left);
    };
    call.signal.addEventListener('abort', left);
    const body = hop.method === call.method ? call.body : undefined;
    const source = guarded(body);
    try {
      const answered: Answered = await send(this.#agents, {
        ...{ url: hop.url, method: hop.method, headers: hop.headers, body: source.body },
        ...{ headBytesMax, signal: end.signal },
        watch: (phase) => wait(silence, phase, { stallMs, stores: body !== undefined }),
      });
      const waits = (waiting: boolean): void =>
        waiting ? silence.wait('no byte of its answer came', stallMs) : silence.rest();
      silence.rest();
      return new WebAnswer(answered, { ...where, name, waits, reason: () => reason, over });
    } catch (error) {
      over();
      throw reason ?? source.failed()?.error ?? networkError(name, where, error);
    }
  }
}

function wait(silence: Silence, phase: OutgoingPhase, { stallMs, stores }: { stallMs: number; stores: boolean }): void {
  if (phase === 'source') silence.rest();
  else if (phase === 'place') silence.wait('there was no connection', stallMs);
  else if (phase === 'connection') silence.wait('there was no connection', Math.min(webConnectMsMax, stallMs));
  else if (phase === 'sending') silence.wait('it took no byte', stallMs);
  else silence.wait('no answer came', stores ? storedStalls * stallMs : stallMs);
}

function streams(body: WebCall['body']): boolean {
  return body !== undefined && !(body instanceof Uint8Array);
}

/** The body, and what its own source threw. */
function guarded(body: WebCall['body']) {
  let own: { readonly error: unknown } | undefined;
  async function* given(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* chunks;
    } catch (error) {
      own = { error };
      throw error;
    }
  }
  return { body: body === undefined || body instanceof Uint8Array ? body : given(body), failed: () => own };
}

/** A small JSON document of an issuer's, within a time and a size; what goes wrong is told in words for a log. */

import { type Agents, agents } from '../../http/agents.ts';
import { send } from '../../http/outgoing.ts';
import { trustedWith } from '../../net/trust.ts';
import { fetchMsMax, keysBytesMax } from './limits.ts';

/** One answers while the next is asked for. */
const socketsMax = 2;
const headBytesMax = 16 * 1024;

export type FetchEnv = Readonly<Record<string, string | undefined>>;
/** Throws an Error whose message says what was wrong with which address. */
export type FetchJson = (url: string) => Promise<Readonly<Record<string, unknown>>>;

/** Redirects are answers that are wrong: keys are where the issuer says that they are. */
export class JsonFetcher implements Disposable {
  readonly #agents: Agents;

  /** `ca`: PEM. `env`: where a proxy may be named. */
  constructor({ ca, env }: { readonly ca: string | undefined; readonly env: FetchEnv }) {
    this.#agents = agents({ env, sockets: socketsMax, ca: ca === undefined ? undefined : trustedWith(ca) });
  }

  readonly fetch: FetchJson = async (url) => {
    const late = AbortSignal.timeout(fetchMsMax);
    try {
      return await this.#fetch(new URL(url), late);
    } catch (error) {
      const words = late.aborted ? `no whole answer within ${fetchMsMax / 1_000} s` : wordsOf(error);
      throw new Error(`GET ${url}: ${words}`, { cause: error });
    }
  };

  [Symbol.dispose](): void {
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }

  async #fetch(url: URL, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    const headers = { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'shoal' };
    const answer = await send(this.#agents, { url, method: 'GET', headers, headBytesMax, signal, watch: () => {} });
    try {
      if (answer.status !== 200) throw new Error(`HTTP ${answer.status}`);
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of answer.body) {
        length += chunk.length;
        if (length > keysBytesMax) throw new Error(`answers more than ${keysBytesMax} bytes`);
        chunks.push(chunk);
      }
      return objectIn(Buffer.concat(chunks, length).toString('utf8'));
    } finally {
      answer.drop();
    }
  }
}

function objectIn(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('answers no JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('answers no JSON object');
  return value as Record<string, unknown>;
}

/** Connections that fail at several addresses have no message of their own. */
function wordsOf(error: unknown): string {
  const { message, code } = error as NodeJS.ErrnoException;
  return message || code || String(error);
}

/**
 * HTTP as a client of this test has it: one request, one answer, never a second try. What does not end as the protocol
 * has it is told apart: refused, reset, cut short, silent.
 */
import { createHash } from 'node:crypto';
import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http';

export type Ask = {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: Uint8Array;
  /** No byte of the answer for so long: the client gives up. */
  readonly silentMs?: number;
};

export type Answer = {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** `sha256:…` of what came. */
  readonly digest: string;
  readonly bytes: number;
  /** What came, its first part only where it is long. */
  readonly body: Buffer;
};

/** `what`: an errno, CUT (an answer that ended early) or SILENT. */
export class Broken extends Error {
  override readonly name = 'Broken';
  readonly what: string;
  constructor(what: string, message: string) {
    super(message);
    this.what = what;
  }
}

/** Shoal says after a minute that no byte came; a client is a little more patient. */
export const silentMsMax = 75_000;
/** Manifests and errors are read; of a layer only the digest is of interest. */
const keptBytesMax = 1 << 20;

export function ask(
  url: string,
  { method = 'GET', headers = {}, body, silentMs = silentMsMax }: Ask = {},
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const length = body === undefined ? {} : { 'content-length': body.length };
  const sent = request(url, { method, headers: { ...headers, ...length }, agent: false });
  sent.setTimeout(silentMs, () => sent.destroy(new Broken('SILENT', `nothing came for ${silentMs / 1_000} s`)));
  sent.once('error', (error) => reject(broken(error)));
  sent.once('response', (response) => {
    const hash = createHash('sha256');
    const kept: Buffer[] = [];
    let [bytes, keptBytes] = [0, 0];
    response.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      bytes += chunk.length;
      if (keptBytes >= keptBytesMax) return;
      kept.push(chunk);
      keptBytes += chunk.length;
    });
    response.once('error', (error) => reject(broken(error, bytes)));
    response.once('end', () => {
      const { statusCode: status = 0, headers: got } = response;
      resolve({ status, headers: got, digest: `sha256:${hash.digest('hex')}`, bytes, body: Buffer.concat(kept) });
    });
  });
  sent.end(body);
  return promise;
}

function broken(error: Error, bytes?: number): Broken {
  if (error instanceof Broken) return error;
  const { code = error.name } = error as NodeJS.ErrnoException;
  if (bytes !== undefined) return new Broken('CUT', `the answer ended after ${bytes} bytes (${code})`);
  return new Broken(code, error.message);
}

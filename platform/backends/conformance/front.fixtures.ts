/**
 * What may stand between a backend and its server: it passes requests on as they come, notes them, and answers itself what
 * it is told to. Of the conformance suite of kinds that speak HTTP.
 */

import { type IncomingMessage, type RequestListener, type ServerResponse, request as send } from 'node:http';
import { httpServer, httpsServer } from '../web/web.fixtures.ts';

export type Passing = { readonly method: string; readonly path: string };
/** An answer instead of the server's; `hang`: none ever; `cut`: the server's, and its body ends after so many bytes. */
export type FrontFault =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  | 'hang'
  | { readonly cut: number };
export type Passed = Passing & { readonly atMs: number; readonly refused: boolean };

export class Front {
  /** `http://…` of the server behind. */
  readonly #server: string;
  readonly asked: Passed[] = [];
  fault: (passing: Passing) => FrontFault | undefined = () => undefined;
  /** Requests that were under way at once, at most. */
  atOnce = 0;
  #underWay = 0;

  constructor(server: string) {
    this.#server = server;
  }

  /** `http://127.0.0.1:PORT`. */
  async plain(stack: AsyncDisposableStack): Promise<string> {
    return await httpServer(stack, this.#listener);
  }

  /** `https://localhost:PORT`. */
  async secure(stack: AsyncDisposableStack, tls: { readonly cert: Buffer; readonly key: Buffer }): Promise<string> {
    return await httpsServer(stack, tls, this.#listener);
  }

  readonly #listener: RequestListener = (request, response) => {
    const passing = { method: request.method ?? '', path: request.url ?? '' };
    const fault = this.fault(passing);
    this.asked.push({ ...passing, atMs: performance.now(), refused: fault !== undefined });
    this.#underWay += 1;
    this.atOnce = Math.max(this.atOnce, this.#underWay);
    response.once('close', () => {
      this.#underWay -= 1;
    });
    if (fault === 'hang') return;
    if (fault !== undefined && 'status' in fault) {
      request.resume();
      response.writeHead(fault.status, { 'content-type': 'text/html', ...fault.headers });
      response.end(fault.body ?? '<html><body>on purpose</body></html>');
      return;
    }
    this.#pass(request, response, fault?.cut);
  };

  #pass(request: IncomingMessage, response: ServerResponse, cut: number | undefined): void {
    const { method, url = '/', rawHeaders } = request;
    const onward = send(new URL(this.#server), { method, path: url, headers: rawHeaders, setHost: false });
    const broken = (): void => void request.socket.destroy();
    request.on('error', () => onward.destroy());
    response.on('close', () => onward.destroy());
    onward.on('error', broken);
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.on('error', broken);
      if (cut === undefined) return void answer.pipe(response);
      let bytes = 0;
      answer.on('data', (chunk: Buffer) => {
        const part = chunk.subarray(0, Math.max(0, cut - bytes));
        bytes += part.length;
        if (part.length > 0) response.write(part);
        if (bytes === cut) response.write('', broken);
      });
      answer.on('end', () => response.end());
    });
    request.pipe(onward);
  }
}

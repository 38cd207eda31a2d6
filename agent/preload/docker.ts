/** Has the Docker daemon of this host pull an image. */

import { ApiError } from '../../core/contracts/errors.ts';
import { type HttpTransport, unixHttp } from '../../platform/net/http.ts';

/** The latest of its API that a daemon has, whichever that is. */
const path = '/images/create';
/** Of an error that is no line of its progress. */
const textMax = 4_096;
/** One line of its progress; longer ones are none. */
const lineMax = 65_536;
const ok = 200;

/** `image`: host:port/repository. Throws RUNTIME_FAILED with what the daemon says. */
export async function pullByDocker(
  socket: string,
  { image, tag }: { readonly image: string; readonly tag: string },
  signal: AbortSignal,
  transport: HttpTransport = unixHttp(socket),
): Promise<void> {
  const connection = transport.to('http://docker', { connections: 1 });
  try {
    const query = `fromImage=${encodeURIComponent(image)}&tag=${encodeURIComponent(tag)}`;
    const answer = await connection.request({ path: `${path}?${query}`, method: 'POST', signal });
    const failure = await failureOf(answer.body);
    if (failure !== undefined) throw failed(failure);
    if (answer.status !== ok) throw failed(`it answered ${answer.status}`);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ApiError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw failed(`${socket} cannot be asked (\`preload.docker\`): ${code ?? message}`);
  } finally {
    await connection.destroy();
  }
}

/** It says 200 before it has begun: whether it failed is in the last of its lines. */
async function failureOf(body: AsyncIterable<Uint8Array>): Promise<string | undefined> {
  let [line, failure]: [string, string | undefined] = ['', undefined];
  const decoder = new TextDecoder();
  for await (const chunk of body) {
    const lines = (line + decoder.decode(chunk, { stream: true })).split('\n');
    line = (lines.pop() ?? '').slice(0, lineMax);
    for (const one of lines) failure ??= errorIn(one);
  }
  return failure ?? errorIn(line);
}

function errorIn(line: string): string | undefined {
  try {
    const { error, message } = JSON.parse(line) as { error?: unknown; message?: unknown };
    const told = error ?? message;
    return typeof told === 'string' ? told.slice(0, textMax) : undefined;
  } catch {
    return undefined;
  }
}

function failed(why: string): ApiError {
  return new ApiError('RUNTIME_FAILED', `docker did not pull the image: ${why}`);
}

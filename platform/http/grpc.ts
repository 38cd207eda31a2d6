/**
 * One call of gRPC over a socket of this host: what a container runtime is told by. One message goes, one comes, as bytes.
 *
 * Rule 1: a call has a connection of its own, which ends with it. It takes as long as it takes: its caller's signal ends it.
 * Rule 2: whatever the other side does, an answer is a status of gRPC and a message.
 */

import { type ClientHttp2Session, type ClientSessionOptions, connect, constants } from 'node:http2';

export type GrpcCall = {
  /** `package.Service/Method`. */
  readonly method: string;
  readonly message: Uint8Array;
  readonly metadata?: Readonly<Record<string, string>>;
};

/** `status` of gRPC; `text`: what is said of it. */
export type GrpcAnswer = { readonly status: number; readonly text: string };

export const GRPC = { ok: 0, unknown: 2, unimplemented: 12 } as const;

/** An answer has one small message, of which nothing is read. */
const answerBytesMax = 1024 * 1024;
const textMax = 4_096;
/** A frame's head: not compressed, and how long it is. */
const headBytes = 5;

/** Rejects where the socket cannot be connected to, or breaks off; with the signal's reason. */
export async function callGrpc(socket: string, call: GrpcCall, signal: AbortSignal): Promise<GrpcAnswer> {
  signal.throwIfAborted();
  // It goes to net.connect, which its type does not say.
  const at: ClientSessionOptions & { readonly path: string } = { path: socket };
  const session = connect('http://localhost', at);
  try {
    return await answerOf(session, call, signal);
  } finally {
    session.destroy();
  }
}

function answerOf(session: ClientHttp2Session, call: GrpcCall, signal: AbortSignal): Promise<GrpcAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<GrpcAnswer>();
  const end = (): void => reject(signal.reason);
  signal.addEventListener('abort', end, { once: true });
  session.once('error', reject);
  session.once('close', () => reject(new Error('the connection broke off')));
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: `/${call.method}`,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
    te: 'trailers',
    ...call.metadata,
  });
  let told: Record<string, unknown> = {};
  let bytes = 0;
  stream.once('error', reject);
  stream.once('response', (headers) => {
    told = { ...headers };
  });
  stream.once('trailers', (headers) => {
    told = { ...told, ...headers };
  });
  stream.on('data', (chunk: Uint8Array) => {
    bytes += chunk.length;
    if (bytes > answerBytesMax) reject(new Error('the answer is larger than any that is known'));
  });
  stream.once('end', () => resolve(statusOf(told)));
  stream.end(framed(call.message));
  return promise.finally(() => signal.removeEventListener('abort', end));
}

function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(headBytes + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, headBytes);
  return frame;
}

function statusOf(told: Readonly<Record<string, unknown>>): GrpcAnswer {
  const status = Number(told['grpc-status']);
  if (!Number.isInteger(status) || told['grpc-status'] === undefined)
    return { status: GRPC.unknown, text: `it answered HTTP ${String(told[':status'])}, and no status of gRPC` };
  return { status, text: decoded(String(told['grpc-message'] ?? '')).slice(0, textMax) };
}

/** Percent-encoded, as a rule. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

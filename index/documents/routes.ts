/** Documents over HTTP (core/contracts/documents): read, followed, changed. */

import type { FastifyInstance } from 'fastify';
import {
  DOCUMENT_NAMES,
  DOCUMENTS,
  type DocumentChanged,
  type DocumentName,
  documentBytesMax,
} from '../../core/contracts/documents/documents.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import { callOf } from '../../platform/http/call.ts';
import { serve } from '../../platform/http/serve.ts';
import { readOnlyError } from '../read-only.ts';
import type { DocumentWatch, ToldDocument } from './watch.ts';

export type DocumentRoutes = {
  readonly watch: DocumentWatch;
  /** Of the clock on the wall. */
  readonly nowMs: () => number;
  readonly readOnly: boolean;
};

export function documentRoutes(app: FastifyInstance, parts: DocumentRoutes): void {
  for (const name of DOCUMENT_NAMES) routesOf(app, name, parts);
}

function routesOf(app: FastifyInstance, name: DocumentName, { watch, nowMs, readOnly }: DocumentRoutes): void {
  const { read, put } = DOCUMENTS[name];
  serve(
    app,
    read,
    async ({ at: { after }, request, reply }) => {
      const told = after === undefined ? await watch.now(name) : await watch.after(name, after, callOf(request).signal);
      return reply.type('application/json; charset=utf-8').send(jsonOf(told));
    },
    // Thousands of hosts ask all the time.
    { logLevel: 'warn' },
  );
  serve(app, put, async ({ body: { expected, body } }) => {
    if (readOnly) throw readOnlyError();
    const text = textOf(body);
    // It goes up, and follows the clock: rule 2 of the contract.
    const version = Math.max(expected + 1, Math.floor(nowMs()));
    if (await watch.put(name, { version, text }, expected)) return { version };
    throw await changed(name, watch);
  });
}

function textOf(body: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(body);
  } catch {
    throw new ApiError('REQUEST_INVALID', 'the document lies too deep within itself');
  }
  if (Buffer.byteLength(text) <= documentBytesMax) return text;
  throw new ApiError(
    'SIZE_INVALID',
    `the document has ${Buffer.byteLength(text)} bytes, and may have ${documentBytesMax}`,
  );
}

async function changed(name: DocumentName, watch: DocumentWatch): Promise<ApiError> {
  const { version } = await watch.now(name);
  const detail: DocumentChanged = { version };
  return new ApiError('DOCUMENT_CHANGED', `document ${name} is at version ${version} now: read it again`, detail);
}

/** The body is JSON already. */
function jsonOf({ text, ...told }: ToldDocument): string {
  const head = JSON.stringify(told);
  return text === undefined ? head : `${head.slice(0, -1)},"body":${text}}`;
}

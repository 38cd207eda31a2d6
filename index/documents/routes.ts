/** Documents over HTTP (core/contracts/documents): read, followed, changed. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import {
  DOCUMENT_NAMES,
  DOCUMENTS,
  type DocumentChanged,
  type DocumentName,
  documentBytesMax,
} from '../../core/contracts/documents/documents.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import { whoCalls } from '../../platform/audit/entry.ts';
import type { AuditLog } from '../../platform/audit/log.ts';
import { callOf } from '../../platform/http/call.ts';
import { serve } from '../../platform/http/serve.ts';
import { readOnlyError } from '../read-only.ts';
import type { DocumentWatch, ToldDocument } from './watch.ts';

export type DocumentRoutes = {
  readonly watch: DocumentWatch;
  /** Of the clock on the wall. */
  readonly nowMs: () => number;
  readonly readOnly: boolean;
  /** Who changes what is written down there; absent: nowhere. */
  readonly audit?: Pick<AuditLog, 'ready' | 'write'> | undefined;
};

export function documentRoutes(app: FastifyInstance, parts: DocumentRoutes): void {
  for (const name of DOCUMENT_NAMES) routesOf(app, name, parts);
}

function routesOf(app: FastifyInstance, name: DocumentName, { watch, nowMs, readOnly, audit }: DocumentRoutes): void {
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
  serve(app, put, async ({ body: { expected, body }, request }) => {
    if (readOnly) throw readOnlyError();
    await audit?.ready();
    const before = audit && (await watch.now(name)).text;
    const text = textOf(body);
    // It goes up, and follows the clock: rule 2 of the contract.
    const version = Math.max(expected + 1, Math.floor(nowMs()));
    if (!(await watch.put(name, { version, text }, expected))) throw await changed(name, watch);
    if (audit !== undefined) await writeDown(audit, { name, version, before, body }, request);
    return { version };
  });
}

type Change = {
  readonly name: DocumentName;
  readonly version: number;
  readonly before: string | undefined;
  readonly body: unknown;
};

/** What was changed is told as done only then. */
async function writeDown(
  audit: Pick<AuditLog, 'write'>,
  { name, version, before, body }: Change,
  request: FastifyRequest,
): Promise<void> {
  const { saidOfChanges } = await import('./audited.ts');
  const who = whoCalls(callOf(request), undefined, request.ip);
  const said = saidOfChanges(name, before === undefined ? undefined : JSON.parse(before), body);
  await Promise.all(said.map((one) => audit.write({ ...one, result: 'done', who, version: String(version) })));
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

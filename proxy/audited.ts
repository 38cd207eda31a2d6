/**
 * The proxy's registry, with an audit log: each push and each deletion is written down before it is answered. Loaded only
 * where `audit` is set.
 *
 * Rule 1: an entry is written once it is known what came of the write; before that only whether it could be.
 * Rule 2: what was refused as somebody may not is written, too, so many a minute: whoever tries often does not fill the log.
 */

import { ApiError } from '../core/contracts/errors.ts';
import { REPLICATION_HEADERS } from '../core/contracts/replicate/headers.ts';
import { referenceText } from '../core/oci/name.ts';
import type { OciRequest } from '../core/oci/request.ts';
import { type AuditEntry, whoCalls } from '../platform/audit/entry.ts';
import type { AuditLog } from '../platform/audit/log.ts';
import type { OciContext, OciReply, RegistryHandler } from '../platform/registry/reply.ts';

/** Refusals that are written in a minute. */
const refusalsMax = 100;
const minuteMs = 60_000;
const created = 201;

type Written = Pick<AuditEntry, 'what' | 'repo' | 'reference' | 'digest' | 'detail'>;

export class AuditedRegistry implements RegistryHandler {
  readonly #served: RegistryHandler;
  readonly #audit: Pick<AuditLog, 'ready' | 'write'>;
  readonly #nowMs: () => number;
  #refusals = { minute: 0, count: 0 };

  constructor(served: RegistryHandler, audit: Pick<AuditLog, 'ready' | 'write'>, nowMs: () => number) {
    this.#served = served;
    this.#audit = audit;
    this.#nowMs = nowMs;
  }

  async handle(request: OciRequest, context: OciContext): Promise<OciReply> {
    const written = writeOf(request);
    if (written === undefined) return await this.#served.handle(request, context);
    await this.#audit.ready();
    let reply: OciReply;
    try {
      reply = await this.#served.handle(request, context);
    } catch (error) {
      await this.#refused(written, context, error);
      throw error;
    }
    if (reply.kind === 'error') await this.#refused(written, context, reply.error);
    else if (isDone(request, reply)) await this.#write(written, context, { result: 'done', ...toldIn(reply) });
    return reply;
  }

  async #refused(written: Written, context: OciContext, error: unknown): Promise<void> {
    if (!(error instanceof ApiError) || error.status !== denied) return;
    const minute = Math.floor(this.#nowMs() / minuteMs);
    if (minute !== this.#refusals.minute) this.#refusals = { minute, count: 0 };
    this.#refusals.count += 1;
    if (this.#refusals.count > refusalsMax) return;
    await this.#write(written, context, { result: error.code });
  }

  async #write(
    written: Written,
    { call, subject }: OciContext,
    told: Pick<AuditEntry, 'result' | 'digest' | 'version'>,
  ): Promise<void> {
    await this.#audit.write({ ...written, ...told, who: whoCalls(call, subject?.name) });
  }
}

const denied = 403;

/** undefined: it changes nothing, or nothing yet. */
function writeOf(request: OciRequest): Written | undefined {
  switch (request.kind) {
    case 'manifestPut': {
      const { repo, reference, tags } = request;
      return {
        what: 'push',
        repo,
        reference: referenceText(reference),
        ...(reference.kind === 'digest' && tags.length > 0 ? { detail: { tags } } : {}),
      };
    }
    case 'manifestDelete':
      return { what: 'delete', repo: request.repo, reference: referenceText(request.reference) };
    case 'blobDelete':
      return { what: 'delete blob', repo: request.repo, digest: request.digest };
    case 'uploadCommit':
      return { what: 'push blob', repo: request.repo, digest: request.digest };
    case 'uploadBegin': {
      const { repo, digest, mount } = request;
      const named = digest ?? mount?.digest;
      if (named === undefined) return undefined;
      return { what: 'push blob', repo, digest: named, ...(mount === undefined ? {} : { detail: { mount } }) };
    }
    default:
      return undefined;
  }
}

/** An upload that was only begun is none: its commit is written. */
function isDone(request: OciRequest, reply: OciReply): boolean {
  return request.kind !== 'uploadBegin' || (reply.kind === 'empty' && reply.status === created);
}

function toldIn({ headers = {} }: OciReply): Pick<AuditEntry, 'digest' | 'version'> {
  const digest = headers['docker-content-digest'];
  const version = headers[REPLICATION_HEADERS.version];
  return { ...(digest === undefined ? {} : { digest }), ...(version === undefined ? {} : { version }) };
}

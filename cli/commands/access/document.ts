/**
 * Users and rules as the index has them, read and changed.
 *
 * Rule 1: a change is made of what is there, again where somebody else was first; what it does not speak of stays as it is,
 *         of a newer release as well.
 * Rule 2: what would be no document is refused before it is written.
 */

import type { CertificateUsers } from '../../../core/access/certificate-users.ts';
import { type AccessDocument, type AccessUser, accessDocument } from '../../../core/access/documents.ts';
import type { OutsideIssuer } from '../../../core/access/issuers.ts';
import type { AccessRule } from '../../../core/access/rights.ts';
import { parse } from '../../../core/contracts/parse.ts';
import { CallContext } from '../../../platform/clients/context.ts';
import { DocumentClient } from '../../../platform/clients/documents.ts';
import { HttpClient } from '../../../platform/clients/http.ts';
import type { HttpTransport } from '../../../platform/net/http.ts';
import { Failure } from '../../failure.ts';

export type AskingIndex = {
  readonly index: string;
  readonly signal: AbortSignal;
  /** Default: TCP. */
  readonly transport?: HttpTransport | undefined;
};

/** What is written anew. */
type Change = {
  readonly users?: readonly AccessUser[];
  readonly rules?: readonly AccessRule[];
  readonly issuers?: readonly OutsideIssuer[];
  readonly certificates?: CertificateUsers | undefined;
  readonly keyGeneration?: number;
  readonly forgetKeys?: boolean;
};

export async function readAccess(asking: AskingIndex): Promise<AccessDocument> {
  return await withDocuments(asking, async (documents, ctx) => {
    const { body = {} } = await documents.read('access', ctx);
    return accessIn(body);
  });
}

/** The document as it is then; undefined from `change`: nothing is to be changed. */
export async function changeAccess(
  asking: AskingIndex,
  change: (of: AccessDocument) => Change | undefined,
): Promise<AccessDocument> {
  return await withDocuments(asking, async (documents, ctx) => {
    let last = accessIn({});
    await documents.change(
      'access',
      (body = {}) => {
        last = accessIn(body);
        const made = change(last);
        if (made === undefined) return undefined;
        const next = { ...(body as Record<string, unknown>), ...made };
        last = accessIn(next);
        return next;
      },
      ctx,
    );
    return last;
  });
}

async function withDocuments<T>(
  { index, signal, transport }: AskingIndex,
  act: (documents: DocumentClient, ctx: CallContext) => Promise<T>,
): Promise<T> {
  await using http = new HttpClient({ base: index, transport });
  return await act(new DocumentClient({ all: [http] }), CallContext.begin({ signal }));
}

function accessIn(body: unknown): AccessDocument {
  const read = parse(accessDocument, body, 'it');
  if (read.ok) return read.value;
  throw new Failure(`the index's document of users and rules cannot be read, nothing was changed: ${read.problem}`);
}

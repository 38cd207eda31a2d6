/** What the audit log says of a write: one line of JSON. docs/audit.md lists the fields. */

import type { CallContext } from '../clients/context.ts';

/** What was done. `push`, `delete`: of a manifest or a tag; `push blob`, `delete blob`: of a blob's link. */
export type AuditWhat =
  | 'push'
  | 'push blob'
  | 'delete'
  | 'delete blob'
  | 'block'
  | 'unblock'
  | 'change access'
  | 'wrong password'
  | 'make key'
  | 'operate'
  /** It can be written again, after it could not. */
  | 'resume';

export type AuditEntry = {
  readonly what: AuditWhat;
  /** `done`, or the code that the caller was told. */
  readonly result: string;
  readonly who: AuditWho;
  readonly repo?: string | undefined;
  /** As the caller named it: a tag, a digest. */
  readonly reference?: string | undefined;
  readonly digest?: string | undefined;
  /** Of a tag's write, or of a document. */
  readonly version?: string | undefined;
  /** What else was said: the reason of a block, what was asked of an index. */
  readonly detail?: unknown;
};

export type AuditWho = {
  /** As `access` knows him. */
  readonly user?: string | undefined;
  /** Of a process or an operator, where certificates are shown: role and name. */
  readonly certificate?: string | undefined;
  /** As far as it can be told: behind a proxy that is not trusted, that one's. */
  readonly address?: string | undefined;
  readonly requestId?: string | undefined;
};

/** Whatever somebody made up is not what fills the log. */
const detailCharsMax = 2_000;

export function whoCalls(call: CallContext, user?: string | undefined, address?: string | undefined): AuditWho {
  const { from, caller, requestId } = call;
  return {
    user,
    certificate: from && `${from.role}/${from.name}`,
    address: caller?.name ?? address,
    requestId,
  };
}

/** With the line's end. What is not known is left out. */
export function auditLine({ what, result, who, detail, ...rest }: AuditEntry, at: Date): string {
  const { requestId, ...caller } = who;
  const said = { time: at.toISOString(), what, result, ...caller, ...rest, requestId };
  const text = detail === undefined ? '' : JSON.stringify(detail);
  const told = text.length > detailCharsMax ? `${text.slice(0, detailCharsMax)}…` : detail;
  return `${JSON.stringify(detail === undefined ? said : { ...said, detail: told })}\n`;
}

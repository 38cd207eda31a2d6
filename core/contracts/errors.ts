/**
 * Errors as they leave a process over HTTP, in OCI's form: { errors: [{ code, message, detail }] }.
 * One catalogue; docs/errors.md lists the same codes, and a test keeps them equal.
 */

import { field, fields, Malformed, type Parser, parse, record, text } from './parse.ts';

/** Characters; error bodies are kept under 64 KiB. */
const messageMax = 65_536;

export const ERRORS = {
  BLOB_CONDEMNED: { status: 409, means: 'origins may be removing the bytes: have them proved before they are linked' },
  BLOB_UNKNOWN: { status: 404, means: 'the blob is not known here' },
  BLOB_UPLOAD_INVALID: { status: 400, means: 'the upload request is malformed' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, means: 'there is no such upload: begin a new one' },
  BLOB_UPLOAD_RANGE: { status: 416, means: 'the chunk does not start where the upload stands' },
  DENIED: {
    status: 403,
    means:
      'who asks may not do that, the digest is blocked, the write goes beyond what the repository may hold, or an image is not signed',
  },
  DIGEST_INVALID: { status: 400, means: 'the digest is malformed or does not match the content' },
  DOCUMENT_CHANGED: { status: 409, means: 'the document was changed since the version that the request names' },
  MANIFEST_BLOB_UNKNOWN: { status: 404, means: 'the manifest refers to a blob that the repository does not hold' },
  MANIFEST_INVALID: { status: 400, means: 'the manifest is malformed' },
  MANIFEST_NEEDED: { status: 409, means: 'a tag or an index has the manifest, so that it was not deleted' },
  MANIFEST_UNKNOWN: { status: 404, means: 'the manifest is not known to the repository' },
  NAME_INVALID: { status: 400, means: 'the repository name is malformed' },
  NAME_UNKNOWN: { status: 404, means: 'the repository is not known' },
  SIZE_INVALID: { status: 413, means: 'the content is larger than the limit' },
  RANGE_INVALID: { status: 416, means: 'the range lies outside of the blob' },
  REQUEST_INVALID: { status: 400, means: 'the request is malformed' },
  NOT_FOUND: { status: 404, means: 'there is no such path here' },
  TAG_CHANGED: { status: 409, means: 'the tag was written since the version that the request names' },
  TAG_INVALID: { status: 400, means: 'the tag is malformed' },
  TAG_VERSION_INVALID: { status: 400, means: 'the version with which a tag was written elsewhere cannot be right' },
  UNAUTHORIZED: { status: 401, means: 'who asks is to prove who he is: the answer says where to get a token' },
  UNSUPPORTED: { status: 405, means: 'this component does not do that' },
  UNAVAILABLE: { status: 503, means: 'a component that is needed does not answer: try again' },
  SWARM_STALLED: { status: 504, means: 'no peer sent a piece in time' },
  STORAGE_FULL: { status: 507, means: 'the disk or the byte budget is full' },
  TOOMANYREQUESTS: { status: 429, means: 'a limit of this process is reached: try again' },
  RUNTIME_FAILED: { status: 500, means: 'the container runtime of this host did not pull the image' },
  UNKNOWN: { status: 500, means: 'an error of ours; the log has it under the request id' },
} as const satisfies Record<string, { status: number; means: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** An answer to a client. `message` names what was wrong and what to do. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ErrorCode;
  readonly detail: unknown;
  constructor(code: ErrorCode, message: string, detail?: unknown) {
    super(message);
    this.code = code;
    this.detail = detail;
  }
  get status(): number {
    return ERRORS[this.code].status;
  }
}

export type ErrorBody = {
  readonly errors: readonly { readonly code: string; readonly message: string; readonly detail?: unknown }[];
};

const errorRecord: Parser<{ code: ErrorCode; message: string; detail?: unknown }> = record({
  code: (value) => {
    if (typeof value === 'string' && Object.hasOwn(ERRORS, value)) return value as ErrorCode;
    throw new Malformed('is none of our codes');
  },
  message: text(messageMax),
  detail: (value: unknown) => value,
});

/** The first error of an answer's body. Undefined: a server that is not ours may say anything. */
export function errorIn(body: unknown): ApiError | undefined {
  const read: Parser<unknown> = (value) => field(fields(value), 'errors', (all) => (Array.isArray(all) ? all[0] : all));
  const first = parse(read, body, 'it');
  const told = first.ok ? parse(errorRecord, first.value, 'it') : first;
  return told.ok ? new ApiError(told.value.code, told.value.message, told.value.detail) : undefined;
}

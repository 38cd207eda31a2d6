/**
 * What an S3 server, the network and the SDK say when something fails, as a BackendError: its cause, and what to do.
 * Codes: AWS's "Error responses" of the S3 API, and those that minio, Ceph and others have of their own.
 */

import { type BackendCause, BackendError } from '../backend.ts';

/** What was being done, for the message. */
export type Doing = {
  /** As the configuration calls the backend. */
  readonly backend: string;
  readonly bucket: string;
  /** Whole, prefix included; undefined: the bucket itself. */
  readonly key: string | undefined;
  /** E.g. `write`. */
  readonly doing: string;
};

type Verdict = { readonly cause: BackendCause; readonly remedy: string };

const denied: Verdict = {
  cause: 'denied',
  remedy:
    'allow these keys s3:GetObject, s3:PutObject, s3:ListBucket, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListMultipartUploadParts on it (without s3:ListBucket, an object that is not there is refused as well), and see that it is not read-only',
};
const credentials: Verdict = {
  cause: 'credentials',
  remedy:
    'look at `credentials` of this rule or, where it has none, at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_PROFILE in the environment; keys of a file are read again',
};
const clock: Verdict = {
  cause: 'credentials',
  remedy: 'the clock of this host and that of the server are too far apart: set both by NTP',
};
const throttled: Verdict = { cause: 'throttled', remedy: 'it is asked again later, and less at once' };
const unavailable: Verdict = { cause: 'unavailable', remedy: 'it is asked again; look whether the server is up' };
const damaged: Verdict = { cause: 'damaged', remedy: 'bytes were damaged on the way or on a disk: it is tried again' };
const changed: Verdict = { cause: 'changed', remedy: 'somebody else wrote it meanwhile: read it again' };
const full: Verdict = { cause: 'full', remedy: 'give the bucket or the server more room' };
const unsupported: Verdict = { cause: 'unsupported', remedy: 'this server lacks what is needed: see docs/backends.md' };
const bucket: Verdict = { cause: 'missing', remedy: 'make the bucket, or name the right one in this rule' };
const region: Verdict = { cause: 'refused', remedy: 'the bucket is in another region: set `region` of this rule' };

const noS3: Verdict = { cause: 'unavailable', remedy: 'what answers there may be no S3: look at `endpoint`' };

/** What a HEAD does: its answer has no words, and the SDK calls it NotFound. */
export const looking = 'look up';
const GONE = new Set(['NoSuchKey', 'NoSuchUpload', 'NoSuchVersion', 'NotFound']);

const BY_CODE: Readonly<Record<string, Verdict>> = {
  AccessDenied: denied,
  AllAccessDisabled: denied,
  AccountProblem: denied,
  MethodNotAllowed: denied,
  InvalidObjectState: {
    cause: 'denied',
    remedy: 'it lies in an archive: restore it, or exempt this prefix from archiving',
  },
  InvalidAccessKeyId: credentials,
  SignatureDoesNotMatch: credentials,
  ExpiredToken: credentials,
  ExpiredTokenException: credentials,
  InvalidToken: credentials,
  TokenRefreshRequired: credentials,
  UnrecognizedClientException: credentials,
  XAdminUserNotFound: credentials,
  NoSuchUser: credentials,
  CredentialsProviderError: credentials,
  TokenProviderError: credentials,
  RequestTimeTooSkewed: clock,
  RequestExpired: clock,
  SlowDown: throttled,
  SlowDownRead: throttled,
  SlowDownWrite: throttled,
  Busy: throttled,
  ServiceUnavailable: throttled,
  Throttling: throttled,
  ThrottlingException: throttled,
  TooManyRequests: throttled,
  RequestLimitExceeded: throttled,
  BandwidthLimitExceeded: throttled,
  InternalError: unavailable,
  OperationAborted: unavailable,
  RequestTimeout: { cause: 'stalled', remedy: 'the server got no byte in time: look at the network between' },
  BadDigest: damaged,
  InvalidDigest: damaged,
  IncompleteBody: damaged,
  XAmzContentSHA256Mismatch: damaged,
  XAmzContentChecksumMismatch: damaged,
  InvalidPart: damaged,
  InvalidPartOrder: damaged,
  InvalidRange: { cause: 'damaged', remedy: 'the object is shorter than it was said to be: look at it' },
  PreconditionFailed: changed,
  ConditionalRequestConflict: changed,
  NoSuchBucket: bucket,
  QuotaExceeded: full,
  InsufficientStorage: full,
  XMinioStorageFull: full,
  XMinioAdminBucketQuotaExceeded: full,
  NotImplemented: unsupported,
  PermanentRedirect: region,
  IllegalLocationConstraintException: region,
  AuthorizationHeaderMalformed: region,
};

const BY_STATUS: Readonly<Record<number, Verdict>> = {
  301: region,
  307: region,
  401: credentials,
  403: denied,
  405: unsupported,
  408: unavailable,
  412: changed,
  416: BY_CODE['InvalidRange'] as Verdict,
  429: throttled,
  501: unsupported,
  503: throttled,
  507: full,
};

/** Of a socket, a name that is not resolved, a certificate. */
const NETWORK = /^(E[A-Z]{3,}|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS|ERR_SSL|ERR_PROXY|HPE_)/;
const CERTIFICATE = /^(CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS)/;

/** The parts of an error of the SDK that say something. */
type Said = {
  readonly name?: string;
  readonly code?: string;
  readonly Code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
};

/** What S3 calls it: `NoSuchKey`; the status where nothing is said, as for HEAD. */
export function s3Code(error: unknown): string {
  const { Code, name, $metadata } = saidBy(error);
  return Code ?? (name !== undefined && name !== 'Error' ? name : String($metadata?.httpStatusCode ?? ''));
}

export function s3Error(error: unknown, { backend, bucket, key, doing }: Doing): BackendError {
  if (error instanceof BackendError) return error;
  const said = saidBy(error);
  const { cause, remedy } = verdictOf(said, { key, doing });
  const where = key === undefined ? `s3://${bucket}` : `s3://${bucket}/${key}`;
  const request = said.$metadata?.requestId === undefined ? '' : `, request ${said.$metadata.requestId}`;
  const message = `${backend}: cannot ${doing} ${where}: ${wordsOf(said)}${request}: ${remedy}`;
  const scope = s3Code(error) === 'NoSuchBucket' || key === undefined ? 'bucket' : 'object';
  return new BackendError(cause, message, { afterMs: retryAfterMs(said), error, scope });
}

function verdictOf(said: Said, { key, doing }: Pick<Doing, 'key' | 'doing'>): Verdict {
  const { code = '', name = '', $metadata } = said;
  const named = [said.Code, name].map((one) => BY_CODE[one ?? '']).find((one) => one !== undefined);
  if (named !== undefined) return named;
  // The SDK calls a broken connection a TimeoutError; its code is what happened.
  if (CERTIFICATE.test(code))
    return { cause: 'unavailable', remedy: 'name the file of the authority that signed its certificate in `ca`' };
  if (NETWORK.test(code)) return unavailable;
  if (name === 'TimeoutError')
    return /did not establish a connection/.test(said.message ?? '')
      ? unavailable
      : { cause: 'stalled', remedy: 'it hangs, or the network between does: it is asked again' };
  const status = $metadata?.httpStatusCode ?? 0;
  const known = BY_STATUS[status];
  if (known !== undefined) return known;
  // By a word of S3's: any web server that is no S3 answers 404 as well, and "there is no such blob" would be wrong.
  if (status === 404 && GONE.has(said.Code ?? (doing === looking ? name : '')))
    return { cause: 'missing', remedy: key === undefined ? bucket.remedy : 'there is no such object' };
  if (status === 404) return noS3;
  if (status >= 500) return unavailable;
  if (/region is missing/i.test(said.message ?? '')) return { cause: 'refused', remedy: 'set `region` of this rule' };
  // A body that no XML parser understands: something between that is no S3.
  if (status === 200 || status === 0) return noS3;
  return { cause: 'refused', remedy: 'another attempt does not change it' };
}

function wordsOf({ Code, name, code, message, $metadata }: Said): string {
  const what = [Code ?? (name === 'Error' ? undefined : name), code].filter((one) => one !== undefined && one !== '');
  const status = $metadata?.httpStatusCode;
  const words = [...new Set(what), ...(status === undefined ? [] : [`HTTP ${status}`])].join(', ');
  const text = (message ?? '').replace(/\s+/g, ' ').trim().slice(0, 300);
  if (text === '' || text === 'UnknownError' || text === name) return words;
  return words === '' ? text : `${text} (${words})`;
}

/** Seconds, as every server that asks for a pause says it. */
function retryAfterMs({ $response }: Said): number | undefined {
  const seconds = Number($response?.headers?.['retry-after']);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

function saidBy(error: unknown): Said {
  return typeof error === 'object' && error !== null ? (error as Said) : { message: String(error) };
}

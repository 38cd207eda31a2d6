/**
 * What an answer of Azure's means: by the code that it has in a header and in its body.
 * Codes: "Blob service error codes" and "Common REST API error codes" of its documentation, and Azurite's.
 */

import type { WebHeaders } from '../web/call.ts';
import type { WebVerdict } from '../web/verdicts.ts';

const credentials: WebVerdict = {
  why: 'credentials',
  remedy:
    'look at `credentials` of this rule (a key that was rotated, a signature that is over) or, where it has none, at the identity of this host; what is in a file is read again',
};
const clock: WebVerdict = {
  why: 'credentials',
  remedy: 'the clock of this host is off, or the signature is over or not yet valid: set the clock, or renew it',
};
const denied: WebVerdict = {
  why: 'denied',
  remedy:
    'give the identity the role Storage Blob Data Contributor on the container, or the signature the permissions racwdl; the firewall of the account may be in the way as well',
};
const missing: WebVerdict = { why: 'missing', remedy: 'there is no such object' };
const noContainer: WebVerdict = { why: 'missing', remedy: 'make the container, or name the right one in this rule' };
const changed: WebVerdict = { why: 'changed', remedy: 'somebody else wrote it meanwhile: read it again' };
const throttled: WebVerdict = { why: 'throttled', remedy: 'it is asked again later, and less at once' };
const later: WebVerdict = { why: 'unavailable', remedy: 'it is asked again; look whether the account is up' };
const damaged: WebVerdict = { why: 'damaged', remedy: 'bytes were damaged on the way or on a disk: it is tried again' };
const noAzure: WebVerdict = {
  why: 'unavailable',
  remedy: 'what answers there may be no Azure Blob Storage: look at `account` and `endpoint`',
};
const others: WebVerdict = {
  why: 'refused',
  remedy: 'something else is there under this name: move it, or set a `prefix`',
};

const BY_CODE: Readonly<Record<string, WebVerdict>> = {
  AuthenticationFailed: credentials,
  InvalidAuthenticationInfo: credentials,
  NoAuthenticationInformation: credentials,
  AuthorizationFailure: denied,
  AuthorizationPermissionMismatch: denied,
  AuthorizationProtocolMismatch: denied,
  AuthorizationResourceTypeMismatch: denied,
  AuthorizationServiceMismatch: denied,
  AuthorizationSourceIPMismatch: denied,
  InsufficientAccountPermissions: denied,
  KeyBasedAuthenticationNotPermitted: { why: 'denied', remedy: 'the account takes no keys: use an identity' },
  PublicAccessNotPermitted: credentials,
  AccountIsDisabled: { why: 'denied', remedy: 'the account is disabled: enable it' },
  BlobArchived: { why: 'denied', remedy: 'it lies in the archive tier: rehydrate it, or exempt this prefix' },
  BlobImmutableDueToPolicy: { why: 'denied', remedy: 'a policy keeps it as it is: exempt this prefix' },
  LeaseIdMissing: { why: 'denied', remedy: 'somebody holds a lease on it: break it' },
  ContainerNotFound: noContainer,
  ContainerBeingDeleted: noContainer,
  ContainerDisabled: noContainer,
  BlobNotFound: missing,
  ResourceNotFound: missing,
  ConditionNotMet: changed,
  TargetConditionNotMet: changed,
  BlobAlreadyExists: changed,
  ServerBusy: throttled,
  OperationTimedOut: later,
  InternalError: later,
  Md5Mismatch: damaged,
  Crc64Mismatch: damaged,
  InvalidMd5: damaged,
  InvalidRange: { why: 'damaged', remedy: 'the object is shorter than it was said to be: look at it' },
  InvalidBlobType: others,
  InvalidBlobOrBlock: others,
};

export function azureVerdict(status: number, text: string, headers: WebHeaders): WebVerdict | undefined {
  const code = azureCode(text, headers);
  const named = BY_CODE[code];
  if (/date header|time ?frame|too old|clock|expir/i.test(text) && (status === 401 || status === 403)) return clock;
  // Azurite says of a wrong signature that it is not authorized.
  if (named === denied && /failed to authenticate|signature (did|fields)/i.test(text)) return credentials;
  if (named !== undefined) return named;
  if (status === 401) return credentials;
  if (status === 403) return denied;
  // By its own words: any web server that is no Azure answers 404 as well, and "there is no such blob" would be wrong.
  if (status === 404 && code === '') return noAzure;
  if (status === 409) return others;
  return undefined;
}

/** '': it says none. */
export function azureCode(text: string, headers: WebHeaders): string {
  return headers['x-ms-error-code'] ?? /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? '';
}

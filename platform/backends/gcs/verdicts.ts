/**
 * What an answer of Google's JSON API means: by its status, and by the word in it that says why.
 * Words: "HTTP status and error codes for JSON" of its documentation.
 */

import type { WebVerdict as Verdict } from '../web/verdicts.ts';

const role = 'roles/storage.objectUser on the bucket, or storage.objects.get, .list, .create, .delete';
const credentials: Verdict = {
  why: 'credentials',
  remedy:
    'look at `credentials` of this rule or, where it has none, at GOOGLE_APPLICATION_CREDENTIALS and the service account of this host; a key in a file is read again',
};
const denied: Verdict = {
  why: 'denied',
  remedy: `grant it ${role}; without .list, what is not there is refused as well`,
};
const throttled: Verdict = { why: 'throttled', remedy: 'it is asked again later, and less at once' };
const damaged: Verdict = { why: 'damaged', remedy: 'bytes were damaged on the way or on a disk: it is tried again' };
const noGcs: Verdict = {
  why: 'unavailable',
  remedy: 'what answers there may be no Google Cloud Storage: look at `endpoint`',
};
const pays: Verdict = { why: 'refused', remedy: 'the bucket makes its readers pay: set `userProject` of this rule' };

const BY_REASON: Readonly<Record<string, Verdict>> = {
  authError: credentials,
  required: credentials,
  rateLimitExceeded: throttled,
  userRateLimitExceeded: throttled,
  quotaExceeded: throttled,
  dailyLimitExceeded: throttled,
  userProjectMissing: pays,
  retentionPolicyNotMet: { why: 'denied', remedy: 'a retention policy of the bucket keeps it: exempt this prefix' },
  objectUnderActiveHold: { why: 'denied', remedy: 'it is under a hold: release it' },
};

/** undefined: what the status means everywhere. */
export function gcsVerdict(status: number, text: string): Verdict | undefined {
  const { reason, message } = gcsSaid(text);
  const named = BY_REASON[reason];
  // `required` is said of a missing parameter as well.
  if (named !== undefined && (named !== credentials || status === 401)) return named;
  if (status === 400 && /match|corrupt|md5|crc32c|hash|checksum/i.test(message)) return damaged;
  if (status === 400 && /requester pays|user ?project/i.test(message)) return pays;
  if (status === 401) return credentials;
  if (status === 403) return denied;
  // By its own words: any web server that is no GCS answers 404 as well, and "there is no such blob" would be wrong.
  if (status === 404 && !itsOwn(text)) return noGcs;
  return undefined;
}

/** Which of the two a 404 is about; undefined: it does not say. */
export function missingOf(text: string): 'object' | 'bucket' | undefined {
  if (/bucket does not exist/i.test(text)) return 'bucket';
  return /no such object/i.test(text) ? 'object' : undefined;
}

/** A download says it in a word or two of plain text, and everything else in JSON. */
function itsOwn(text: string): boolean {
  return gcsSaid(text).message !== '' || text.trim() === '' || /^(not found|no such object\b.*)\s*$/i.test(text.trim());
}

function gcsSaid(text: string): { readonly reason: string; readonly message: string } {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown; errors?: { reason?: unknown }[] } };
    return { reason: String(error?.errors?.[0]?.reason ?? ''), message: String(error?.message ?? '') };
  } catch {
    return { reason: '', message: '' };
  }
}

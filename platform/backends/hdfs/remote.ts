/**
 * What a NameNode or DataNode says when it refuses: a RemoteException in JSON, the name of a class of Hadoop's and its
 * words; as a BackendError.
 */

import * as z from 'zod';
import { BackendError } from '../backend.ts';
import type { WebVerdict } from '../web/verdicts.ts';

const shape = z.object({
  RemoteException: z.object({ exception: z.string(), message: z.string().nullish() }),
});
/** Of what it says, in a message: the rest is where in Hadoop's code it was thrown. */
const wordsMax = 300;

/** `exception`: its class, without packages. */
export type Remote = { readonly exception: string; readonly words: string };

/** undefined: what was said is not of WebHDFS. */
export function remoteOf(text: string): Remote | undefined {
  try {
    const { exception, message } = shape.parse(JSON.parse(text)).RemoteException;
    const [line = ''] = (message ?? '').split('\n');
    return { exception, words: line.replace(/[\s\p{C}]+/gu, ' ').slice(0, wordsMax) };
  } catch {
    return undefined;
  }
}

/** An error of which the exception is known. */
export class RemoteError extends BackendError {
  readonly remote: Remote;
  constructor(remote: Remote, { why, message, afterMs }: BackendError) {
    super(why, message, { afterMs });
    this.remote = remote;
  }
}

const denied: WebVerdict = {
  why: 'denied',
  remedy: 'give the user the right to read and write below the directory of this rule',
};
const credentials: WebVerdict = {
  why: 'credentials',
  remedy: 'look at `user` or `delegationToken` of this rule; a token in a file is read again',
};
const full: WebVerdict = { why: 'full', remedy: 'raise the quota (hdfs dfsadmin), or make room' };
const both: WebVerdict = {
  why: 'refused',
  remedy: 'a directory cannot hold a key and others below it (a and a/b): choose keys that do not begin one another',
};
const later: WebVerdict = { why: 'unavailable', remedy: 'it is asked again; look at the logs of HDFS' };
const refused: WebVerdict = { why: 'refused', remedy: 'another attempt does not change it' };

const BY_EXCEPTION: Readonly<Record<string, WebVerdict>> = {
  AccessControlException: denied,
  AuthorizationException: denied,
  InvalidToken: credentials,
  SecurityException: credentials,
  AuthenticationException: credentials,
  FileNotFoundException: { why: 'missing', remedy: 'there is no such object' },
  FileAlreadyExistsException: { why: 'changed', remedy: 'somebody else wrote it meanwhile: read it again' },
  QuotaExceededException: full,
  NSQuotaExceededException: full,
  DSQuotaExceededException: full,
  QuotaByStorageTypeExceededException: full,
  DiskOutOfSpaceException: full,
  ParentNotDirectoryException: both,
  PathIsNotDirectoryException: both,
  StandbyException: { why: 'unavailable', remedy: 'name all NameNodes in `nameNodes`, and see that one is active' },
  UnsupportedOperationException: { why: 'unsupported', remedy: 'this HDFS lacks what is needed: see docs/backends.md' },
  IllegalArgumentException: refused,
  HadoopIllegalArgumentException: refused,
  InvalidPathException: refused,
  UnresolvedPathException: { why: 'refused', remedy: 'a symbolic link lies there: replace it by what it names' },
};
const safeMode: WebVerdict = {
  why: 'unavailable',
  remedy:
    'it takes no writes in safe mode: it ends once enough blocks are reported, or by hdfs dfsadmin -safemode leave',
};
/** By what an IOException says, which HDFS throws for much. */
const BY_WORDS: readonly { readonly words: RegExp; readonly verdict: WebVerdict }[] = [
  { words: /There are 0 datanode/i, verdict: { why: 'unavailable', remedy: 'no DataNode is alive: look at them' } },
  {
    words: /could only be (written|replicated) to 0/i,
    verdict: { why: 'full', remedy: 'no DataNode takes it: look at their room, and whether they are alive' },
  },
  { words: /quota .*exceeded/i, verdict: full },
  { words: /must both be|is not a directory|is a directory/i, verdict: both },
  { words: /out of the range/i, verdict: { why: 'damaged', remedy: 'the object is shorter than it was said to be' } },
  { words: /token .*(expired|can't be found)/i, verdict: credentials },
];

export function verdictOfRemote({ exception, words }: Remote): WebVerdict {
  if (/SafeMode/.test(exception) || /SafeModeException|in safe ?mode/i.test(words)) return safeMode;
  return BY_EXCEPTION[exception] ?? BY_WORDS.find((one) => one.words.test(words))?.verdict ?? later;
}

/** The NameNode is not the active one, and another one may be. */
export function notActive({ exception, words }: Remote): boolean {
  return (
    exception === 'StandbyException' ||
    (exception === 'RetriableException' && verdictOfRemote({ exception, words }) === later)
  );
}

/** Of a status without an exception: of a proxy, a web server, a filter before WebHDFS. undefined: as everywhere. */
export function verdictWithout(status: number): WebVerdict | undefined {
  if (status === 401)
    return {
      why: 'credentials',
      remedy: 'HDFS wants Kerberos, which is not spoken here: give it a delegation token (`delegationToken`)',
    };
  if ([400, 404, 405, 410, 501].includes(status))
    return {
      why: 'unavailable',
      remedy: 'what answers there is no WebHDFS: look at `nameNodes`, and at dfs.webhdfs.enabled',
    };
  return undefined;
}

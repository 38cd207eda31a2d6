/**
 * What a process shows of itself and whom it believes, read from files and looked at before it is used: whatever is wrong
 * is told by the file's name, all of it at once.
 */

import { createPrivateKey, type X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type CallerIdentity, type CallerRole, identityText } from '../../core/access/identity.ts';
import { type CertificateFacts, certificatesIn, factsOf, revocationListsIn, useLacking } from './facts.ts';
import { certificateIdsOf, type RevocationList, revocationListOf } from './lists.ts';

/** Where they lie; all PEM. */
export type MaterialFiles = {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  readonly crl?: string | undefined;
  /** Once a list of `crl` has: whoever is of its authority is refused, or all but those that it names are believed still. */
  readonly crlExpired?: 'refuse' | 'keep' | undefined;
};

export type Material = {
  /** Each authority by itself, PEM. */
  readonly ca: readonly string[];
  readonly certificate: string;
  readonly key: string;
  readonly crl: readonly string[] | undefined;
  readonly staleCrl: readonly string[] | undefined;
  readonly identity: CallerIdentity;
  readonly facts: CertificateFacts;
  /** Of the authorities, the first one to expire. */
  readonly caUntilMs: number;
  /** Of the lists of what is revoked, the first one to end. */
  readonly crlUntilMs: number | undefined;
  /** When to look at it again, though no file changes: a list ends. */
  readonly againMs: number;
  /** What somebody should see to then, a line each. */
  warningsAt(nowMs: number): readonly string[];
};

/** Who is to use it. */
export type Holder = { readonly role: CallerRole | undefined; readonly cluster: string | undefined };

/** Files that are larger are none of these. */
const fileBytesMax = 1024 * 1024;
/** So long before the end it is time to see why nobody has renewed it; */
export const soonMs = 14 * 86_400_000;
/** of what lasts for hours, from this part of its time on: who renews does so at half or two thirds of it. */
const lateShare = 0.25;

/** Lines of what is wrong; or what was read. */
export function readMaterial(files: MaterialFiles, holder: Holder, nowMs: number): Material | readonly string[] {
  const problems: string[] = [];
  const read = <T>(path: string, of: (text: string) => T): T | undefined => {
    try {
      const text = readFileSync(path, 'utf8');
      if (text.length > fileBytesMax) throw new Error(`it is larger than ${fileBytesMax} bytes`);
      return of(text);
    } catch (error) {
      problems.push(`${path}: ${reason(error)}`);
      return undefined;
    }
  };
  const authorities = read(files.ca, (text) => some(certificatesIn(text), 'certificate'));
  const chain = read(files.certificate, (text) => some(certificatesIn(text), 'certificate'));
  const key = read(files.key, (text) => ({ pem: text, key: createPrivateKey(text) }));
  const { crl: crlFile } = files;
  const crl =
    crlFile === undefined
      ? undefined
      : read(crlFile, (text) =>
          some(revocationListsIn(text), 'list (X509 CRL)').map((pem) => ({ pem, list: revocationListOf(pem) })),
        );
  if (authorities === undefined || chain === undefined || key === undefined) return problems;
  const [own] = chain;
  const facts = factsOf(own);
  if (!own.checkPrivateKey(key.key)) problems.push(`${files.key}: is not the key of ${files.certificate}`);
  problems.push(...problemsOf(own, facts, { files, holder, nowMs }));
  const why = untrusted(chain, authorities);
  if (why !== undefined) problems.push(`${files.certificate}: ${why} ${files.ca}`);
  const caUntil = authorities.map((one) => factsOf(one).untilMs);
  if (Math.max(...caUntil) <= nowMs) problems.push(`${files.ca}: every authority in it has expired`);
  if (problems.length > 0 || typeof facts.identity === 'string') return problems;
  const lists = crl?.map(({ list }) => list) ?? [];
  const ends = lists.flatMap(({ untilMs }) => untilMs ?? []);
  const crlUntilMs = ends.length === 0 ? undefined : Math.min(...ends);
  const stale = files.crlExpired === 'keep' && crlUntilMs !== undefined && crlUntilMs <= nowMs;
  const pems = crl?.map(({ pem }) => pem);
  return {
    ca: authorities.map(String),
    certificate: chain.map(String).join(''),
    key: key.pem,
    crl: stale ? undefined : pems,
    staleCrl: stale ? pems : undefined,
    identity: facts.identity,
    facts,
    caUntilMs: Math.min(...caUntil),
    crlUntilMs,
    againMs: Math.min(...ends.filter((ms) => ms > nowMs)),
    warningsAt: (at) => [
      ...warningsOf(facts, Math.min(...caUntil), { files, nowMs: at }),
      ...(crl === undefined ? [] : listWarnings(lists, authorities, { files, nowMs: at })),
    ],
  };
}

type Looking = { readonly files: MaterialFiles; readonly holder: Holder; readonly nowMs: number };

function problemsOf(own: X509Certificate, facts: CertificateFacts, { files, holder, nowMs }: Looking): string[] {
  const problems: string[] = [];
  if (facts.untilMs <= nowMs) problems.push(`has expired on ${day(facts.untilMs)}`);
  if (facts.fromMs > nowMs)
    problems.push(`is valid only from ${new Date(facts.fromMs).toISOString()}: is this host's clock right?`);
  if (facts.weak !== undefined) problems.push(facts.weak);
  const lacking = useLacking(own);
  if (lacking !== undefined) problems.push(`may not be used for ${lacking}: every component is both called and calls`);
  const { identity } = facts;
  if (typeof identity === 'string') problems.push(identity);
  else {
    if (holder.role !== undefined && identity.role !== holder.role)
      problems.push(`is of ${identityText(identity)}, and this is ${article(holder.role)}`);
    if (holder.cluster !== undefined && identity.cluster !== undefined && identity.cluster !== holder.cluster)
      problems.push(`is of cluster ${identity.cluster}, and \`cluster\` is ${holder.cluster}`);
  }
  return problems.map((problem) => `${files.certificate}: ${problem}`);
}

function warningsOf(
  { fromMs, untilMs, sans, identity }: CertificateFacts,
  caUntilMs: number,
  { files, nowMs }: Omit<Looking, 'holder'>,
): string[] {
  const soon = (file: string, what: string, [from, ms]: readonly [number, number]): string[] =>
    isLate(from, ms, nowMs) ? [`${file}: ${what} ${ms < nowMs ? 'has expired' : 'expires'} on ${day(ms)}`] : [];
  const shared =
    typeof identity !== 'string' && sans.length === 0 && !UNCALLED.includes(identity.role)
      ? [`${files.certificate}: ${sharedBy(identity.role)}`]
      : [];
  const always = Number.NEGATIVE_INFINITY;
  return [
    ...soon(files.certificate, 'it', [fromMs, untilMs]),
    ...soon(files.ca, 'an authority', [always, caUntilMs]),
    ...shared,
  ];
}

/** Who has no port. */
const UNCALLED: readonly CallerRole[] = ['admin', 'monitor'];

/** Of a certificate that names no address. */
function sharedBy(role: CallerRole): string {
  if (role === 'agent')
    return 'names no address: agents that share it are told apart by nobody, and it vouches for their role only';
  return `names no address: whoever has a certificate of role ${role} may answer in its place, as it vouches for the role only`;
}

function listWarnings(
  lists: readonly RevocationList[],
  authorities: readonly X509Certificate[],
  { files, nowMs }: Omit<Looking, 'holder'>,
): string[] {
  const of = (issuer: string): string => {
    const authority = authorities.find((one) => certificateIdsOf(one).subject === issuer);
    return authority === undefined ? 'an authority that is not believed' : factsOf(authority).subject;
  };
  const nobody = 'whoever it issued a certificate for is refused';
  const after = files.crlExpired === 'keep' ? 'what it names stays revoked, and nothing else is' : nobody;
  const ended = lists.flatMap(({ issuer, fromMs, untilMs }) => {
    const what = `the list of what ${of(issuer)} has revoked`;
    if (fromMs > nowMs)
      return [`${what} is valid only from ${new Date(fromMs).toISOString()}: is this host's clock right?`];
    if (untilMs === undefined || !isLate(fromMs, untilMs, nowMs)) return [];
    const at = new Date(untilMs).toISOString();
    return [untilMs <= nowMs ? `${what} has expired at ${at}: ${after}` : `${what} expires at ${at}; then ${after}`];
  });
  const lacking = authorities
    .filter((one) => !lists.some(({ issuer }) => issuer === certificateIdsOf(one).subject))
    .map((one) => `holds no list of what ${factsOf(one).subject} has revoked: ${nobody}`);
  return [...ended, ...lacking].map((line) => `${files.crl}: ${line}`);
}

function isLate(fromMs: number, untilMs: number, nowMs: number): boolean {
  return untilMs - nowMs < Math.min(soonMs, (untilMs - fromMs) * lateShare);
}

/** Why the chain leads to none of the authorities. */
function untrusted(chain: readonly X509Certificate[], authorities: readonly X509Certificate[]): string | undefined {
  let at = chain[0] as X509Certificate;
  for (let steps = 0; steps < chain.length; steps++) {
    const by = (one: X509Certificate): boolean => at.checkIssued(one) && at.verify(one.publicKey);
    if (authorities.some(by)) return undefined;
    const next = chain.find((one) => one !== at && by(one));
    if (next === undefined) break;
    at = next;
  }
  return `was issued by ${factsOf(at).issuer}, which is none of`;
}

function some<T>(found: readonly T[], what: string): readonly [T, ...T[]] {
  const [first, ...others] = found;
  if (first === undefined) throw new Error(`holds no ${what} in PEM`);
  return [first, ...others];
}

function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'may not be read by this process';
  if (code?.startsWith('ERR_OSSL') === true || code?.startsWith('ERR_CRYPTO') === true)
    return `cannot be read: ${message}`;
  return message;
}

function article(role: string): string {
  return /^[aeiou]/.test(role) ? `an ${role}` : `a ${role}`;
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** `shoal certs show`: whose each certificate is, for which addresses, until when; and what is wrong with it. */

import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { identityText } from '../../core/access/identity.ts';
import { type CertificateFacts, certificatesIn, factsOf } from '../../platform/certs/facts.ts';
import { FILES, filesIn, readIfThere } from '../../platform/certs/files.ts';
import { readMaterial, soonMs } from '../../platform/certs/material.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { Failure } from '../failure.ts';
import { dayMs, issuedIn } from './authority.ts';

type Shown = {
  readonly file: string;
  readonly what: 'authority' | 'certificate' | 'unreadable';
  readonly cluster: string | undefined;
  readonly role: string | undefined;
  readonly name: string | undefined;
  readonly sans: readonly string[];
  readonly key: string;
  readonly issuer: string;
  readonly serial: string;
  readonly from: string;
  readonly until: string;
  readonly days: number;
  readonly problems: readonly string[];
};

type Asked = { readonly json: boolean; readonly nowMs: number };

/** Rejects Failure once all has been said where anything is wrong. */
export function showCertificates(paths: readonly string[], { json, nowMs }: Asked, say: (line: string) => void): void {
  const shown = paths.flatMap((path) => filesOf(path)).flatMap((file) => shownOf(file, nowMs));
  if (json) say(JSON.stringify({ certificates: shown }));
  else for (const one of shown) for (const line of linesOf(one)) say(line);
  const wrong = shown.filter(({ problems }) => problems.length > 0).length;
  if (wrong > 0) throw new Failure(`${wrong} of ${shown.length} are not right`);
}

/** Of an authority's directory: all that is in it. Of a certificate's: that one. */
function filesOf(path: string): string[] {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new StartError(`there is no ${path}`);
  if (!found.isDirectory()) return [path];
  const own = filesIn(path);
  if (readIfThere(own.certificate) !== undefined) return [own.certificate];
  const below = issuedIn(path).map((dir) => filesIn(dir).certificate);
  const authority = readIfThere(own.ca) === undefined ? [] : [own.ca];
  if (authority.length + below.length === 0) throw new StartError(`${path} holds no ${FILES.authority} and no tls.crt`);
  return [...authority, ...below];
}

function shownOf(file: string, nowMs: number): Shown[] {
  const text = readIfThere(file) ?? '';
  let found: ReturnType<typeof certificatesIn>;
  try {
    found = certificatesIn(text);
  } catch (error) {
    return [unreadable(file, `cannot be read: ${(error as Error).message}`)];
  }
  if (found.length === 0) return [unreadable(file, 'holds no certificate in PEM')];
  return found.map((one) => {
    const facts = factsOf(one);
    const { sans, key, issuer, serial, identity, authority } = facts;
    const who = typeof identity === 'string' ? undefined : identity;
    return {
      ...{ file, what: authority ? ('authority' as const) : ('certificate' as const) },
      ...{ cluster: who?.cluster, role: who?.role, name: who?.name, sans, key, issuer, serial },
      from: new Date(facts.fromMs).toISOString(),
      until: new Date(facts.untilMs).toISOString(),
      days: Math.ceil((facts.untilMs - nowMs) / dayMs),
      problems: authority ? authorityProblems(facts, nowMs) : certificateProblems(file, facts, nowMs),
    };
  });
}

function unreadable(file: string, problem: string): Shown {
  const nothing = { cluster: undefined, role: undefined, name: undefined, sans: [], key: '', issuer: '', serial: '' };
  return { file, what: 'unreadable', ...nothing, from: '', until: '', days: 0, problems: [problem] };
}

function authorityProblems({ untilMs, weak }: CertificateFacts, nowMs: number): string[] {
  return [...(untilMs <= nowMs ? ['it has expired'] : []), ...(weak === undefined ? [] : [weak])];
}

/** With its key and its authority, where they lie beside it: what a start would say. */
function certificateProblems(file: string, facts: CertificateFacts, nowMs: number): string[] {
  const files = filesIn(dirname(file));
  const whole = file === files.certificate && [files.ca, files.key].every((one) => readIfThere(one) !== undefined);
  if (!whole)
    return [...authorityProblems(facts, nowMs), ...(typeof facts.identity === 'string' ? [facts.identity] : [])];
  const crl = join(dirname(file), FILES.revoked);
  const revoked = readIfThere(crl) === undefined ? {} : { crl };
  const material = readMaterial({ ...files, ...revoked }, { role: undefined, cluster: undefined }, nowMs);
  return 'identity' in material ? [] : [...material];
}

function linesOf({ file, what, cluster, role, name, ...shown }: Shown): string[] {
  if (what === 'unreadable') return shown.problems.map((problem) => `${file}: ${problem}`);
  const who =
    role === undefined || name === undefined
      ? what
      : `${identityText({ role: role as 'agent', name })}${cluster === undefined ? '' : ` of cluster ${cluster}`}`;
  const left = shown.days <= 0 ? 'expired' : `${shown.days} day${shown.days === 1 ? '' : 's'} left`;
  const soon = shown.days * dayMs < soonMs && shown.days > 0 ? ', soon' : '';
  const sans = shown.sans.length === 0 ? '' : `, for ${shown.sans.join(', ')}`;
  return [
    `${file}: ${who}${sans}, ${shown.key}, until ${shown.until.slice(0, 10)} (${left}${soon})`,
    ...shown.problems.map((problem) => `  ${problem}`),
  ];
}

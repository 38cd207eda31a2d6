/**
 * Certificates that users show, looked at by ourselves: OpenSSL, which saw to it that who shows one has its key, knows the
 * cluster's authorities beside those of users, and does not say which of them it was.
 *
 * Rule 1: only what an authority of the users has signed itself. What a client sends along beside its certificate is not read,
 *         so that there are no chains, and no rules for these.
 * Rule 2: whatever the cluster's authority has signed is no user, and an authority of both is refused.
 * Rule 3: why one is refused is told to the log, and not to who shows it.
 */

import type { X509Certificate } from 'node:crypto';
import { type CertificateUsers, subjectOfNames } from '../../../core/access/certificate-users.ts';
import type { Subject } from '../../../core/access/rights.ts';
import { isSignedBy } from '../../certs/anchor.ts';
import { type CertificateFacts, certificatesIn, factsOf, isForClients } from '../../certs/facts.ts';
import { detailProblem, plainSerial, type Revoked, revokedBy } from './details.ts';

/** Each is tried with each certificate. */
export const authoritiesMax = 32;

type Found = {
  readonly authority: X509Certificate;
  readonly facts: CertificateFacts;
  readonly subject: Subject | string;
};

export class UserAuthorities {
  readonly #rule: CertificateUsers;
  readonly #authorities: readonly X509Certificate[];
  readonly #revoked: ReadonlyMap<X509Certificate, Revoked> | undefined;
  /** What of a certificate does not change. */
  readonly #looked = new WeakMap<X509Certificate, Found | string>();

  private constructor(
    rule: CertificateUsers,
    authorities: readonly X509Certificate[],
    revoked: ReadonlyMap<X509Certificate, Revoked> | undefined,
  ) {
    this.#rule = rule;
    this.#authorities = authorities;
    this.#revoked = revoked;
  }

  /** Lines of what is wrong with it; or the authorities. `components`: the cluster's own, PEM. */
  static async of(rule: CertificateUsers, components: readonly string[]): Promise<UserAuthorities | readonly string[]> {
    try {
      const authorities = certificatesIn(rule.ca);
      const problems = problemsOf(authorities, components.flatMap(certificatesIn));
      if (problems.length > 0) return problems;
      const revoked = rule.crl === undefined ? undefined : await revokedBy(authorities, rule.crl);
      if (revoked !== undefined && !(revoked instanceof Map)) return revoked;
      return new UserAuthorities(rule, authorities, revoked);
    } catch (error) {
      return [`certificates: cannot be read: ${(error as Error).message}`];
    }
  }

  /** Each by itself, PEM: servers name them to their clients, which choose by that what they show. */
  get pems(): readonly string[] {
    return this.#authorities.map(String);
  }

  /** Text: why it is nobody. */
  subjectOf(certificate: X509Certificate, nowMs: number): Subject | string {
    let found = this.#looked.get(certificate);
    if (found === undefined) {
      found = this.#look(certificate);
      this.#looked.set(certificate, found);
    }
    if (typeof found === 'string') return found;
    return this.#untimely(certificate, found, nowMs) ?? found.subject;
  }

  #look(certificate: X509Certificate): Found | string {
    const authority = this.#authorities.find((one) => isSignedBy(certificate, one));
    if (authority === undefined) return 'its authority is none of the users';
    const facts = factsOf(certificate);
    if (facts.weak !== undefined) return facts.weak;
    if (!isForClients(certificate)) return 'it may not be used by clients';
    const problem = detailProblem(certificate);
    if (problem !== undefined) return problem;
    return { authority, facts, subject: subjectOfNames(this.#rule, facts.names) };
  }

  #untimely(certificate: X509Certificate, { authority, facts }: Found, nowMs: number): string | undefined {
    if (facts.untilMs <= nowMs) return `it has expired on ${day(facts.untilMs)}`;
    if (facts.fromMs > nowMs) return `it is valid only from ${new Date(facts.fromMs).toISOString()}`;
    if (Date.parse(authority.validTo) <= nowMs) return 'its authority has expired';
    if (this.#revoked === undefined) return undefined;
    const list = this.#revoked.get(authority);
    if (list === undefined) return 'there is no list of what its authority has revoked';
    if (list.serials.has(plainSerial(certificate.serialNumber))) return 'it is revoked';
    return list.untilMs <= nowMs
      ? `the list of what its authority has revoked has expired on ${day(list.untilMs)}`
      : undefined;
  }
}

function problemsOf(authorities: readonly X509Certificate[], components: readonly X509Certificate[]): string[] {
  if (authorities.length === 0) return ['certificates.ca: holds no certificate in PEM'];
  if (authorities.length > authoritiesMax)
    return [`certificates.ca: holds ${authorities.length} certificates, and may hold ${authoritiesMax}`];
  const keys = new Set(components.map(keyOf));
  return authorities.flatMap((one) => {
    const { authority, weak } = factsOf(one);
    const named = `certificates.ca: ${one.subject.split('\n').join(', ')}`;
    if (keys.has(keyOf(one)) || components.some((its) => isSignedBy(one, its)))
      return [`${named} is an authority of the cluster, or of one: users need one of their own`];
    if (!authority) return [`${named} is no authority`];
    return weak === undefined ? [] : [`${named}: ${weak}`];
  });
}

function keyOf({ publicKey }: X509Certificate): string {
  return publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

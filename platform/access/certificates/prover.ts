/** A client's certificate as a proof of who somebody is. Settings may change at any time; what they name is read once. */

import type { X509Certificate } from 'node:crypto';
import type { CertificateUsers } from '../../../core/access/certificate-users.ts';
import type { Subject } from '../../../core/access/rights.ts';
import type { Components } from '../../secure/components.ts';
import type { LineLog } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Prover } from '../prove.ts';
import { UserAuthorities } from './users.ts';

export type CertificateProofOptions = {
  readonly components: Components;
  /** By the clock on the wall. */
  readonly nowMs: () => number;
  readonly log: LineLog;
  readonly metrics: Metrics;
};

export class CertificateProof {
  readonly #options: CertificateProofOptions;
  #users: UserAuthorities | undefined;
  #problems: readonly string[] = [];
  /** Counts settings: the last ones count, however long each takes to be read. */
  #turn = 0;

  constructor(options: CertificateProofOptions) {
    this.#options = options;
  }

  /** From now on these. What cannot be used makes nobody of everybody, and says so. */
  async use(rule: CertificateUsers | undefined): Promise<void> {
    const { components, log } = this.#options;
    const turn = ++this.#turn;
    const found = rule && (await UserAuthorities.of(rule, components.authorities()));
    if (turn !== this.#turn) return;
    this.#users = found instanceof UserAuthorities ? found : undefined;
    this.#problems = found === undefined || found instanceof UserAuthorities ? [] : found;
    if (this.#problems.length > 0) log.error({ problems: this.#problems }, "users' certificates are not taken");
    components.askUsers(this.#users?.pems ?? []);
  }

  /** What somebody should see to, a line each. */
  warnings(): readonly string[] {
    return this.#problems;
  }

  readonly prover: Prover = async (proof, { address }) => {
    if (proof.kind !== 'certificate' || this.#options.components.isOurs(proof.certificate)) return undefined;
    const found = this.#subjectOf(proof.certificate);
    if (found === undefined || typeof found === 'object') return found;
    this.#options.log.warn({ why: found, address }, "a user's certificate was refused");
    this.#options.metrics.counter('access_certificates_refused_total', "Users' certificates that were refused").inc();
    return undefined;
  };

  #subjectOf(certificate: X509Certificate): Subject | string | undefined {
    return this.#users?.subjectOf(certificate, this.#options.nowMs());
  }
}

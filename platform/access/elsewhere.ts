/**
 * Who is known elsewhere: by tokens of other issuers, and by certificates, as the document says now. What proves either is
 * loaded once the document names any.
 */

import type { CertificateUsers } from '../../core/access/certificate-users.ts';
import type { OutsideIssuer } from '../../core/access/issuers.ts';
import type { Time } from '../net/clock.ts';
import type { Components } from '../secure/components.ts';
import type { LineLog } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { CertificateProof } from './certificates/prover.ts';
import type { FetchEnv } from './issuers/fetch.ts';
import type { IssuedTokens } from './issuers/tokens.ts';
import type { Prover } from './prove.ts';

/** What of the document it goes by. */
export type ElsewhereSettings = {
  readonly issuers: readonly OutsideIssuer[];
  readonly certificates?: CertificateUsers | undefined;
};

export type ElsewhereParts = {
  /** Where `tls` is set: without it nobody shows a certificate. */
  readonly components: Components | undefined;
  /** Where a proxy may be named. */
  readonly env: FetchEnv;
  /** For ages. */
  readonly clock: Time;
  /** By the clock on the wall. */
  readonly nowMs: () => number;
  readonly log: LineLog;
  readonly metrics: Metrics;
};

export class ElsewhereProofs implements Disposable {
  readonly #parts: ElsewhereParts;
  #settings: ElsewhereSettings = { issuers: [] };
  #tokens: Promise<IssuedTokens> | undefined;
  #certificates: Promise<CertificateProof> | undefined;
  #problems: () => readonly string[] = () => [];

  constructor(parts: ElsewhereParts) {
    this.#parts = parts;
  }

  /** From now on these count. */
  use(settings: ElsewhereSettings): void {
    const { certificates } = settings;
    this.#settings = settings;
    const { components, log } = this.#parts;
    if (components === undefined) {
      this.#problems = () => (certificates ? ['access: nobody shows a certificate here, since `tls` is not set'] : []);
      return;
    }
    if (certificates === undefined && this.#certificates === undefined) return;
    this.#certificates ??= this.#opened(components);
    this.#certificates
      .then((proof) => proof.use(certificates))
      .catch((error: unknown) => log.error({ err: error }, "users' certificates are not taken"));
  }

  /** Whether who writes has to show a certificate. */
  get writesNeedCertificate(): boolean {
    return this.#settings.certificates?.writes === 'certificate';
  }

  /** What somebody should see to, a line each. */
  warnings(): readonly string[] {
    return this.#problems();
  }

  readonly prover: Prover = async (proof, from) => {
    if (proof.kind === 'certificate') return await (await this.#certificates)?.prover(proof, from);
    if (this.#settings.issuers.length === 0) return undefined;
    this.#tokens ??= this.#issued();
    return await (await this.#tokens).prover(proof, from);
  };

  [Symbol.dispose](): void {
    void this.#tokens?.then((tokens) => tokens[Symbol.dispose]());
  }

  async #issued(): Promise<IssuedTokens> {
    const { IssuedTokens: Opened } = await import('./issuers/tokens.ts');
    return new Opened({ ...this.#parts, issuers: () => this.#settings.issuers });
  }

  async #opened(components: Components): Promise<CertificateProof> {
    const { CertificateProof: Opened } = await import('./certificates/prover.ts');
    const proof = new Opened({ ...this.#parts, components });
    this.#problems = () => proof.warnings().map((problem) => `access: ${problem}`);
    return proof;
  }
}

/**
 * A process's certificates, from files that are renewed under it: looked at every few seconds, so that a rename, a rewrite
 * and Kubernetes' exchange of a symbolic link are all seen.
 *
 * Rule 1: what was renewed is looked at as at a start. What is wrong is told once, counts as a failure, and changes nothing.
 * Rule 2: files are not renewed at one moment: a key that does not match yet is looked at again.
 */

import { statSync } from 'node:fs';
import type { MaterialFiles } from '../certs/material.ts';
import { type Holder, type Material, readMaterial } from '../certs/material.ts';
import { StartError } from '../lifecycle/errors.ts';
import { Credentials } from '../net/credentials.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { tlsWatcher } from './watch.ts';
import { whoIsIn } from './who.ts';

/** Renewals come days before the end: a few seconds more are nothing, and four `stat`s cost nothing. */
const lookMs = 5_000;

export type FilesOptions = {
  readonly files: MaterialFiles;
  readonly holder: Holder & { readonly cluster: string };
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Default: `lookMs`. */
  readonly everyMs?: number | undefined;
};

export class CertificateFiles implements Disposable {
  readonly credentials: Credentials;
  readonly #options: FilesOptions;
  readonly #looking: NodeJS.Timeout;
  #material: Material;
  #seen: string;
  #problems: readonly string[] = [];

  /** Throws StartError, a line for each thing that is wrong. */
  constructor(options: FilesOptions) {
    this.#options = options;
    const { files, holder, log, metrics } = options;
    this.#seen = stateOf(files);
    this.#material = materialFrom(files, holder);
    const whoIs = whoIsIn(holder.cluster, Date.now);
    const watcher = tlsWatcher(log, metrics);
    this.credentials = started(() => new Credentials(this.#material, whoIs, watcher), files);
    for (const warning of this.warnings()) log.warn({ tls: warning }, 'certificates');
    this.#observe(metrics);
    this.#looking = setInterval(() => {
      this.look();
      this.credentials.sweep(Date.now());
    }, options.everyMs ?? lookMs);
    this.#looking.unref();
  }

  get identity(): Material['identity'] {
    return this.#material.identity;
  }

  /** What somebody should see to, a line each: as of now, since time goes by. */
  warnings(): string[] {
    return [...this.#problems, ...this.#material.warningsAt(Date.now())];
  }

  /** Takes what was renewed. */
  look(): void {
    const { files, holder, log, metrics } = this.#options;
    const now = stateOf(files);
    if (now === this.#seen && this.#problems.length === 0 && Date.now() < this.#material.againMs) return;
    const before = this.#problems.join('\n');
    const found = readMaterial(files, holder, Date.now());
    const problems = 'identity' in found ? this.#replace(found) : found;
    const count = metrics.counter('certificate_reloads_total', 'Certificates that were renewed under the process', [
      'result',
    ]);
    // Of files that are half renewed only what lasts is told.
    if (problems.length > 0 && now === this.#seen && before === problems.join('\n')) return;
    this.#seen = now;
    this.#problems = problems;
    count.inc({ result: problems.length === 0 ? 'taken' : 'refused' });
    if (problems.length === 0)
      log.info({ until: new Date(this.#material.facts.untilMs).toISOString() }, 'certificates renewed');
    else log.error({ problems }, 'certificates were renewed, and cannot be used: those from before are');
  }

  [Symbol.dispose](): void {
    clearInterval(this.#looking);
  }

  #replace(found: Material): readonly string[] {
    try {
      this.credentials.replace(found);
    } catch (error) {
      return [`${this.#options.files.certificate}: OpenSSL does not take it: ${(error as Error).message}`];
    }
    this.#material = found;
    return [];
  }

  #observe(metrics: Metrics): void {
    metrics.observedEach(
      'certificate_expires_timestamp_seconds',
      'When what this process shows, or believes, expires',
      {
        labels: ['what'],
        read: () => [
          { labels: { what: 'certificate' }, value: this.#material.facts.untilMs / 1_000 },
          { labels: { what: 'authority' }, value: this.#material.caUntilMs / 1_000 },
          ...(this.#material.crlUntilMs === undefined
            ? []
            : [{ labels: { what: 'revocations' }, value: this.#material.crlUntilMs / 1_000 }]),
        ],
      },
    );
  }
}

/** Throws StartError. */
function materialFrom(files: MaterialFiles, holder: Holder): Material {
  const found = readMaterial(files, holder, Date.now());
  if ('identity' in found) return found;
  throw new StartError(found.join('\n'));
}

function started<T>(make: () => T, { certificate }: MaterialFiles): T {
  try {
    return make();
  } catch (error) {
    throw new StartError(`${certificate}: OpenSSL does not take it: ${(error as Error).message}`);
  }
}

/** What tells that a file is another one: symbolic links are followed. */
function stateOf(files: MaterialFiles): string {
  return [files.ca, files.certificate, files.key, files.crl]
    .map((path) => {
      const found = typeof path === 'string' ? statSync(path, { throwIfNoEntry: false, bigint: true }) : undefined;
      return found === undefined ? '-' : `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`;
    })
    .join(' ');
}

/** Certificates for tests, right ones and wrong ones, in directories as cert-manager lays them out. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CallerRole } from '../../core/access/identity.ts';
import { filesIn, writeSecret } from './files.ts';
import { issueCertificate, type KeyPair, makeAuthority, type Validity } from './make.ts';
import type { MaterialFiles } from './material.ts';

const dayMs = 86_400_000;

export type TestIssue = Partial<Validity> & {
  readonly name?: string;
  readonly cluster?: string;
  readonly sans?: readonly string[];
  /** Whom the files say to believe; default: its own authority. */
  readonly believes?: string;
};

/** An authority with a directory of its own, removed when it is disposed of. */
export class TestAuthority implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'shoal-certs-'));
  readonly pair: KeyPair;
  readonly nowMs: number;
  #count = 0;

  private constructor(pair: KeyPair, nowMs: number) {
    this.pair = pair;
    this.nowMs = nowMs;
  }

  static async make(nowMs = Date.now()): Promise<TestAuthority> {
    const validity = { fromMs: nowMs - dayMs, untilMs: nowMs + 400 * dayMs };
    return new TestAuthority(await makeAuthority('test', validity), nowMs);
  }

  /** Files of one process. */
  async issue(role: CallerRole, o: TestIssue = {}): Promise<MaterialFiles> {
    const { name = role, cluster = 'test', sans = ['127.0.0.1', '::1', 'localhost'] } = o;
    const { fromMs = this.nowMs - dayMs / 2, untilMs = this.nowMs + 90 * dayMs } = o;
    const made = await issueCertificate(this.pair, { identity: { cluster, role, name }, sans, fromMs, untilMs });
    return this.write(made, o.believes);
  }

  write({ certificate, key }: KeyPair, believes = this.pair.certificate): MaterialFiles {
    const dir = join(this.dir, `${++this.#count}`);
    mkdirSync(dir);
    const files = filesIn(dir);
    writeSecret(files.ca, believes);
    writeSecret(files.certificate, certificate);
    writeSecret(files.key, key);
    return files;
  }

  /** As an administrator makes them who uses openssl: the role is the OU. `key` as `-newkey` takes it. */
  byOpenSsl(subject: string, key: readonly string[], o: { readonly config?: string } = {}): MaterialFiles {
    const dir = join(this.dir, `${++this.#count}`);
    mkdirSync(dir);
    const files = filesIn(dir);
    const ca = join(dir, 'signs.key');
    writeSecret(files.ca, this.pair.certificate);
    writeSecret(ca, this.pair.key);
    const signed = ['-CA', files.ca, '-CAkey', ca, '-days', '2', '-subj', subject];
    const extension = o.config === undefined ? [] : ['-addext', o.config];
    const out = ['-nodes', '-keyout', files.key, '-out', files.certificate];
    execFileSync('openssl', ['req', '-x509', '-newkey', ...key, ...out, ...signed, ...extension], { stdio: 'pipe' });
    return files;
  }

  file(name: string, text: string): string {
    const path = join(this.dir, name);
    writeSecret(path, text);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export function pemOf({ certificate, key }: MaterialFiles): KeyPair {
  return { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
}

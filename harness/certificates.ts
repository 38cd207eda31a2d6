/** Certificates of a cluster that is measured with TLS, and how a benchmark calls its parts. */

import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, type Dispatcher } from 'undici';
import type { CallerRole } from '../core/access/identity.ts';
import { filesIn, writeSecret } from '../platform/certs/files.ts';
import { issueCertificate, type KeyPair, makeAuthority } from '../platform/certs/make.ts';

const cluster = 'bench';
const dayMs = 86_400_000;

export class Certificates {
  readonly #dir: string;
  readonly #authority: KeyPair;

  private constructor(dir: string, authority: KeyPair) {
    this.#dir = dir;
    this.#authority = authority;
  }

  /** Below `dir`. */
  static async make(dir: string): Promise<Certificates> {
    return new Certificates(dir, await makeAuthority(cluster, validity()));
  }

  /** What a part adds to its configuration. */
  async settings(role: CallerRole, name: string): Promise<Readonly<Record<string, unknown>>> {
    return { cluster, tls: await this.#issue(role, name) };
  }

  /** Calls as a process of that role. It is closed with the stack. */
  async calls(role: CallerRole, stack: AsyncDisposableStack): Promise<Dispatcher> {
    const files = await this.#issue(role, `${role}-of-bench`);
    const read = (path: string): string => readFileSync(path, 'utf8');
    const own = { ca: read(files.ca), cert: read(files.certificate), key: read(files.key) };
    const agent = new Agent({ connect: { ...own, checkServerIdentity: () => undefined } });
    stack.defer(() => agent.destroy());
    return agent;
  }

  async #issue(role: CallerRole, name: string): Promise<ReturnType<typeof filesIn>> {
    const identity = { cluster, role, name };
    const sans = ['127.0.0.1'];
    const { certificate, key } = await issueCertificate(this.#authority, { identity, sans, ...validity() });
    const dir = join(this.#dir, 'certificates', name);
    mkdirSync(dir, { recursive: true });
    const files = filesIn(dir);
    writeSecret(files.ca, this.#authority.certificate);
    writeSecret(files.certificate, certificate);
    writeSecret(files.key, key);
    return files;
  }
}

function validity(): { fromMs: number; untilMs: number } {
  return { fromMs: Date.now() - dayMs, untilMs: Date.now() + 30 * dayMs };
}

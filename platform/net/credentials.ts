/** What a process shows at both ends of its connections, and whom it believes: as of now, since files are renewed. */

import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import type { CallerRole, VerifiedCaller } from '../../core/access/identity.ts';

/** All of them PEM; `ca` and `crl` each by itself. */
export type TlsMaterial = {
  /** Whose certificates are believed. */
  readonly ca: readonly string[];
  /** Its own, and those between it and the authority. */
  readonly certificate: string;
  readonly key: string;
  /** With any, each authority needs one. */
  readonly crl?: readonly string[] | undefined;
};

/** Of who showed none. */
export const noCertificate = 'it showed no certificate';

/** Who is at the other end; text: why it is nobody. */
export type WhoIs = (socket: TLSSocket) => VerifiedCaller | string;

export type SecureOptions = {
  readonly ca: string[];
  readonly cert: string;
  readonly key: string;
  readonly crl?: string[];
  readonly minVersion: 'TLSv1.3';
};

export class Credentials {
  readonly #whoIs: WhoIs;
  readonly #changed = new Set<() => void>();
  #options: SecureOptions;
  #context: SecureContext;
  #generation = 0;

  /** Throws where OpenSSL takes none of it. */
  constructor(material: TlsMaterial, whoIs: WhoIs) {
    this.#whoIs = whoIs;
    this.#options = optionsOf(material);
    this.#context = createSecureContext(this.#options);
  }

  /** For servers. */
  get options(): SecureOptions {
    return this.#options;
  }

  /** For whoever dials. */
  get context(): SecureContext {
    return this.#context;
  }

  /** How often it was replaced. */
  get generation(): number {
    return this.#generation;
  }

  /** New connections go by these; what there is goes on. Throws where OpenSSL takes none of it: all is as it was. */
  replace(material: TlsMaterial): void {
    const options = optionsOf(material);
    this.#context = createSecureContext(options);
    this.#options = options;
    this.#generation += 1;
    for (const changed of this.#changed) changed();
  }

  onChange(changed: () => void): Disposable {
    this.#changed.add(changed);
    return { [Symbol.dispose]: () => void this.#changed.delete(changed) };
  }

  whoIs(socket: Socket): VerifiedCaller | string {
    return socket instanceof TLSSocket ? this.#whoIs(socket) : noCertificate;
  }

  /** Why it is not whom we called; undefined: it is one of these roles. */
  refusal(socket: TLSSocket, roles: readonly CallerRole[]): string | undefined {
    const who = this.#whoIs(socket);
    if (typeof who === 'string') return who;
    return roles.includes(who.role) ? undefined : `it is ${who.role}/${who.name}, and not ${roles.join(', ')}`;
  }
}

function optionsOf({ ca, certificate, key, crl }: TlsMaterial): SecureOptions {
  return { ca: [...ca], cert: certificate, key, minVersion: 'TLSv1.3', ...(crl && { crl: [...crl] }) };
}

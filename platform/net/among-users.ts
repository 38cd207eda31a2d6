/**
 * Doors where users call as well as components: clients are asked for certificates of either, so that OpenSSL believes both.
 *
 * Rule: who is a component, an authority of ours must stand behind, whatever its certificate says.
 */

import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { leadsTo } from '../certs/anchor.ts';
import { certificatesIn } from '../certs/facts.ts';
import { otherEndOf } from './other-end.ts';

/** Of who showed one that an authority of users has signed. */
export const notOurs = 'its authority is not one of ours';

export class AmongUsers {
  readonly #ours = new WeakMap<TLSSocket, boolean>();
  #authorities: readonly X509Certificate[];
  #users: readonly string[] = [];

  /** `ca`: ours, each PEM. */
  constructor(ca: readonly string[]) {
    this.#authorities = ca.flatMap(certificatesIn);
  }

  /** Those of users, each PEM. */
  get users(): readonly string[] {
    return this.#users;
  }

  believe(ca: readonly string[]): void {
    this.#authorities = ca.flatMap(certificatesIn);
  }

  /** Whether these are others than before. */
  ask(users: readonly string[]): boolean {
    const others = users.join() !== this.#users.join();
    this.#users = users;
    return others;
  }

  /** Whether an authority of ours stands behind it. */
  isOurs(certificate: X509Certificate): boolean {
    return leadsTo(certificate, this.#authorities);
  }

  /** A connection that came at such a door. */
  came(socket: TLSSocket): void {
    const certificate = otherEndOf(socket)?.certificate;
    this.#ours.set(socket, certificate !== undefined && this.isOurs(certificate));
  }

  /** Why whoever OpenSSL believes is nobody all the same. */
  refusal(socket: TLSSocket): string | undefined {
    return this.#ours.get(socket) === false ? notOurs : undefined;
  }
}

/**
 * What a process shows at both ends of its connections, and whom it believes: as of now, since files are renewed. All its TLS
 * connections are made here, or told of here: so sessions are taken up again, and who is not believed any more is cut off.
 */

import type { X509Certificate } from 'node:crypto';
import type { OnReadOpts, Socket } from 'node:net';
import { connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { notCalledBy } from '../../core/access/announce.ts';
import { type CallerRole, identityText, type VerifiedCaller } from '../../core/access/identity.ts';
import { certificatesIn } from '../certs/facts.ts';
import { certificateIdsOf, revocationListOf } from '../certs/lists.ts';
import { AmongUsers } from './among-users.ts';
import type { Endpoint } from './net.ts';
import { otherEndOf, resumedWith } from './other-end.ts';
import { Sessions } from './sessions.ts';
import { type ConnectionKind, type Fallen, Standings } from './standing.ts';

/** All of them PEM; `ca` and `crl` each by itself. */
export type TlsMaterial = {
  /** Whose certificates are believed. */
  readonly ca: readonly string[];
  /** Its own, and those between it and the authority. */
  readonly certificate: string;
  readonly key: string;
  /** With any, each authority needs one. */
  readonly crl?: readonly string[] | undefined;
  /** Lists beyond their end, which OpenSSL would refuse everybody for: what they name stays revoked. */
  readonly staleCrl?: readonly string[] | undefined;
};

/** Names as certificates have them, in one spelling (platform/certs/lists.ts). */
type Believed = { readonly authorities: ReadonlySet<string>; readonly revoked: ReadonlySet<string> };

/** Of who showed none. */
export const noCertificate = 'it showed no certificate';

/** Who is at the other end; text: why it is nobody. */
export type WhoIs = (socket: TLSSocket) => VerifiedCaller | string;

/** Told of connections. */
export type TlsWatcher = {
  /** `out`: we dialled. */
  handshake(side: 'in' | 'out', kind: 'full' | 'resumed'): void;
  ended(why: Fallen): void;
};

/** A ticket is good for so long: a host that pulls now and then has one, and certificates are looked at anew each hour. */
const sessionS = 3_600;

export type SecureOptions = {
  readonly ca: string[];
  readonly cert: string;
  readonly key: string;
  readonly crl?: string[];
  readonly minVersion: 'TLSv1.3';
  readonly sessionTimeout: number;
};

export class Credentials {
  readonly #whoIs: WhoIs;
  readonly #watcher: TlsWatcher | undefined;
  readonly #changed = new Set<() => void>();
  readonly #sessions = new Sessions();
  readonly #standing = new Standings();
  readonly #among: AmongUsers;
  #options: SecureOptions;
  #context: SecureContext;
  #believed: Believed;
  #generation = 0;

  /** Throws where OpenSSL takes none of it. */
  constructor(material: TlsMaterial, whoIs: WhoIs, watcher?: TlsWatcher) {
    this.#whoIs = whoIs;
    this.#watcher = watcher;
    this.#options = optionsOf(material);
    this.#context = createSecureContext(this.#options);
    this.#believed = believedOf(material);
    this.#among = new AmongUsers(material.ca);
  }

  /** For servers. */
  get options(): SecureOptions {
    return this.#options;
  }

  /** For servers that users call as well. */
  get optionsForUsers(): SecureOptions {
    return { ...this.#options, ca: [...this.#options.ca, ...this.#among.users] };
  }

  /** Clients are asked for certificates of these authorities as well, each PEM. What they sign is no component's. */
  askUsers(authorities: readonly string[]): void {
    if (!this.#among.ask(authorities)) return;
    this.#generation += 1;
    for (const changed of this.#changed) changed();
  }

  /** Whether an authority of ours stands behind it. */
  isOurs(certificate: X509Certificate): boolean {
    return this.#among.isOurs(certificate);
  }

  /** How often it was replaced. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * New connections go by these, and with new sessions; of those that there are, `sweep` cuts off who is not believed by these.
   * Throws where OpenSSL takes none of it: all is as it was.
   */
  replace(material: TlsMaterial): void {
    const options = optionsOf(material);
    const believed = believedOf(material);
    this.#context = createSecureContext(options);
    this.#options = options;
    this.#believed = believed;
    this.#among.believe(material.ca);
    this.#generation += 1;
    this.#sessions.forget();
    for (const changed of this.#changed) changed();
  }

  onChange(changed: () => void): Disposable {
    this.#changed.add(changed);
    return { [Symbol.dispose]: () => void this.#changed.delete(changed) };
  }

  /** A connection to whoever shows a certificate there; who that is, is to be asked once it is made. `onread`: Node's. */
  dial({ host, port }: Endpoint, kind: ConnectionKind, onread?: OnReadOpts): TLSSocket {
    const at = `${host} ${port}`;
    const generation = this.#generation;
    const before = this.#sessions.of(at);
    const socket = connect({
      ...{ host, port, secureContext: this.#context, checkServerIdentity: () => undefined },
      ...(before !== undefined && { session: before.ticket }),
      ...(onread !== undefined && { onread }),
    });
    socket.once('secureConnect', () => {
      if (before !== undefined && socket.isSessionReused()) resumedWith(socket, before.end);
      this.#made(socket, 'out', kind);
    });
    // Tickets come behind the handshake, in TLS 1.3.
    socket.on('session', (ticket) => {
      const end = otherEndOf(socket);
      if (end !== undefined && generation === this.#generation) this.#sessions.keep(at, { ticket, end });
    });
    return socket;
  }

  /** One that came, and has shown what it shows. `users`: where users call as well. */
  came(socket: TLSSocket, kind: ConnectionKind, users = false): void {
    if (users) this.#among.came(socket);
    this.#made(socket, 'in', kind);
  }

  /** Cuts off who may not stay. By the clock on the wall, as certificates are. */
  sweep(nowMs: number): void {
    const ended = (why: Fallen): void => this.#watcher?.ended(why);
    this.#standing.sweep(nowMs, (socket) => this.#fallen(socket), ended);
  }

  whoIs(socket: Socket): VerifiedCaller | string {
    if (!(socket instanceof TLSSocket)) return noCertificate;
    const who = this.#whoIs(socket);
    if (typeof who === 'string') return who;
    return this.#among.refusal(socket) ?? (this.#revoked(socket) ? revoked(who) : who);
  }

  /** Why it is not whom we called; undefined: it is one of these roles, and of one of these names where it has any. */
  refusal(socket: TLSSocket, roles: readonly CallerRole[], names: readonly string[]): string | undefined {
    const who = this.whoIs(socket);
    if (typeof who === 'string') return who;
    if (!roles.includes(who.role)) return `it is ${identityText(who)}, and not ${roles.join(', ')}`;
    return notCalledBy(who, names);
  }

  #made(socket: TLSSocket, side: 'in' | 'out', kind: ConnectionKind): void {
    this.#watcher?.handshake(side, socket.isSessionReused() ? 'resumed' : 'full');
    if (typeof this.whoIs(socket) !== 'string') this.#standing.watch(socket, kind);
  }

  #revoked(socket: TLSSocket): boolean {
    const { revoked } = this.#believed;
    return revoked.size > 0 && otherEndOf(socket)?.chain.some(({ id }) => revoked.has(id)) === true;
  }

  #fallen(socket: TLSSocket): Fallen | undefined {
    const who = this.#whoIs(socket);
    if (typeof who === 'string') return { kind: 'ended', why: who };
    if (this.#revoked(socket)) return { kind: 'revoked', why: revoked(who) };
    const { authorities } = this.#believed;
    if (otherEndOf(socket)?.chain.some(({ issuer }) => authorities.has(issuer)) === true) return undefined;
    return { kind: 'ended', why: `the authority of ${identityText(who)} is not believed any more` };
  }
}

function revoked(who: VerifiedCaller): string {
  return `the certificate of ${identityText(who)} is revoked`;
}

function believedOf({ ca, crl = [], staleCrl = [] }: TlsMaterial): Believed {
  return {
    authorities: new Set(ca.flatMap(certificatesIn).map((one) => certificateIdsOf(one).subject)),
    revoked: new Set([...crl, ...staleCrl].flatMap((pem) => revocationListOf(pem).revoked)),
  };
}

function optionsOf({ ca, certificate, key, crl }: TlsMaterial): SecureOptions {
  const own = { ca: [...ca], cert: certificate, key, ...(crl && { crl: [...crl] }) };
  return { ...own, minVersion: 'TLSv1.3', sessionTimeout: sessionS };
}

/**
 * What a process has that shows a certificate and believes others': how it calls, where it is called, what its peers are, and
 * who is who. Loaded only where `tls` is set.
 */

import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { markDigits, notOwn } from '../../core/access/announce.ts';
import { type CallerIdentity, type CallerRole, identityUri, type VerifiedCaller } from '../../core/access/identity.ts';
import type { HttpPort } from '../../core/access/table.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import { noCertificate } from '../net/credentials.ts';
import type { HttpDoors, HttpTransport } from '../net/http.ts';
import type { Net } from '../net/net.ts';
import { secureDoors, secureHttp } from '../net/secure-http.ts';
import { tls } from '../net/tls.ts';
import type { Components } from './components.ts';
import { CertificateFiles, type FilesOptions } from './files.ts';
import { guard, type Lets } from './guard.ts';

const nodeDigits = 32;

export class Secure implements Disposable {
  readonly #files: CertificateFiles;
  readonly #cluster: string;
  readonly #metrics: FilesOptions['metrics'];

  /** Throws StartError, a line for each thing that is wrong with the files. */
  constructor(options: FilesOptions) {
    this.#files = new CertificateFiles(options);
    this.#cluster = options.holder.cluster;
    this.#metrics = options.metrics;
  }

  get identity(): CallerIdentity {
    return this.#files.identity;
  }

  warnings(): string[] {
    return this.#files.warnings();
  }

  /** For calls to processes of these roles. */
  calls(...roles: readonly CallerRole[]): HttpTransport {
    return secureHttp(this.#files.credentials, roles);
  }

  doors(port: HttpPort): HttpDoors {
    return secureDoors(this.#files.credentials, { plainToo: port === 'registry' || port === 'proxy' });
  }

  /** Before the routes of a door are added. */
  guard(app: FastifyInstance, port: HttpPort): Lets {
    return guard(app, { port, credentials: this.#files.credentials, metrics: this.#metrics });
  }

  /** Who is at the other end of a request's connection. */
  caller(socket: Socket): VerifiedCaller | undefined {
    const who = this.#files.credentials.whoIs(socket);
    return typeof who === 'string' ? undefined : who;
  }

  /** For whoever takes users' certificates at doors where these call. */
  get components(): Components {
    const { credentials } = this.#files;
    return {
      authorities: () => credentials.options.ca,
      isOurs: (certificate) => credentials.isOurs(certificate),
      askUsers: (authorities) => credentials.askUsers(authorities),
    };
  }

  get net(): Net {
    return tls(this.#files.credentials);
  }

  /** Of a node of this process's, drawn anew at each start. */
  drawNode(): string {
    return (
      this.#mark(this.identity) +
      randomBytes(nodeDigits / 2)
        .toString('hex')
        .slice(markDigits)
    );
  }

  /** Why that is not what the caller may say of itself. */
  readonly notOwn = (caller: CallerIdentity, self: Pick<PeerAddress, 'role' | 'node'>): string | undefined =>
    notOwn(caller, self, this.#mark(caller));

  /** The same of a peer that has greeted. */
  readonly foreign = (who: VerifiedCaller | string | undefined, self: PeerAddress): string | undefined =>
    typeof who === 'object' ? this.notOwn(who, self) : (who ?? noCertificate);

  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]();
  }

  #mark({ cluster = this.#cluster, role, name }: CallerIdentity): string {
    return createHash('sha256').update(identityUri({ cluster, role, name })).digest('hex').slice(0, markDigits);
  }
}

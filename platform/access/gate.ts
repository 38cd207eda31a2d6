/**
 * Who somebody is, and whether he may, before a request of the registry API is handled.
 *
 * Rule 1: whoever shows nothing is anonymous, and may what rules grant to anybody; else he is asked to prove who he is. A
 *         request for the root is always asked so, since clients learn there where to get a token, and one for the list of
 *         repositories, which is another one for each.
 * Rule 2: a token opens what it says, as long as rules grant that still; somebody who is not in the users any more is nobody.
 * Rule 3: who is known and may not is told so (403); who may, and has a token for something else, is sent for another (401).
 * Rule 4: a token that was good when an upload began goes on being good for that upload for a while: it ends no push.
 * Rule 5: of a mount nothing is told that its client may not see: it is as a mount that cannot be.
 */

import type { Socket } from 'node:net';
import { ANONYMOUS, may, mayAnything, type Need, needs, type Subject, withoutMount } from '../../core/access/rights.ts';
import { covers, type ScopeAccess, scopeText } from '../../core/access/scope.ts';
import type { TokenClaims } from '../../core/access/token-claims.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import type { OciRequest } from '../../core/oci/request.ts';
import { isTls, shownAt } from '../net/other-end.ts';
import type { GateAdmission, GateAsked, GateRefusal, RegistryGate } from '../registry/gate.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Policy } from './policy.ts';
import { type AccessProof, type Prover, proofIn } from './prove.ts';
import type { AccessTokens } from './tokens.ts';

/** An upload that began with a token goes on with it for so long after its end. */
export const uploadGraceMs = 60 * 60_000;

export type GateParts = {
  readonly policy: Policy;
  readonly tokens: Pick<AccessTokens, 'read'>;
  /** Beside tokens of ours. Default: nobody. */
  readonly prove?: Prover | undefined;
  /** How long whoever was told to slow down is to wait. */
  readonly slowMs?: (address: string, name: string) => number;
  /** `http://host:port` of where tokens are had. Default: as the client called us. */
  readonly realm: string | undefined;
  /** Default: where tokens are had is here, as the client called us. */
  readonly proxy?: string;
  readonly service: string;
  readonly leewayMs: number;
  /** Whether who pushes or deletes has to show a certificate of a user, whoever he is. Default: no. */
  readonly writesNeedCertificate?: () => boolean;
  /** Whether that upload was begun by that user. Default: nobody knows. */
  readonly began?: (session: string, name: string) => boolean;
  readonly nowMs: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
};

/** `access`: what a token is for; undefined: all that its owner may. */
const ASKED_FIRST: ReadonlySet<OciRequest['kind']> = new Set(['ping', 'catalog'] as const);

type Known = { readonly subject: Subject; readonly access?: readonly ScopeAccess[] };
/** `wanted`: all that the request needs. */
type Refusing = { readonly known: Known; readonly asked: GateAsked; readonly wanted: readonly Need[] };
type Why = { readonly error?: 'invalid_token' | 'insufficient_scope'; readonly message: string };

export class AccessGate implements RegistryGate {
  readonly #parts: GateParts;
  readonly #count;

  constructor(parts: GateParts) {
    this.#parts = parts;
    const help = 'Requests of the registry API, by what was said to who asked';
    this.#count = parts.metrics.counter('registry_access_total', help, ['outcome']);
  }

  async admit(request: OciRequest, asked: GateAsked): Promise<GateAdmission> {
    const { rules } = this.#parts.policy;
    const known = await this.#who(asked, request);
    if (!('subject' in known)) return known;
    const { subject } = known;
    if (subject.name === undefined && asked.headers.authorization === undefined && ASKED_FIRST.has(request.kind))
      return this.#unauthorized(needs(request), asked, { message: 'get a token first, from the realm that is named' });
    const sees = (repo: string): boolean => may(rules, subject, repo, 'pull');
    const admitted: GateAdmission = { kind: 'admitted', request, subject, sees };
    const wanted = needs(request);
    const [first, ...mounted] = wanted;
    const refused =
      first && (this.#refusal(first, { known, asked, wanted }) ?? (await this.#uncertified(first, asked)));
    if (refused !== undefined) return refused;
    this.#count.inc({ outcome: 'admitted' });
    const whole = mounted.every((need) => this.#granted(need, known) && covered(need, known));
    return whole ? admitted : { ...admitted, request: withoutMount(request) };
  }

  async refusal(need: Need, asked: GateAsked): Promise<GateRefusal | undefined> {
    const known = await this.#who(asked);
    return 'subject' in known ? this.#refusal(need, { known, asked, wanted: [need] }) : known;
  }

  /** Whom the request is of; or what is answered to who is not known. `request`: where tokens may be of an upload. */
  async #who({ headers, address, socket }: GateAsked, request?: OciRequest): Promise<Known | GateRefusal> {
    const asked = { headers, address, socket };
    const proof = proofIn(headers.authorization);
    if (proof === undefined) return (await this.#byCertificate(asked)) ?? { subject: ANONYMOUS };
    const wanted = request === undefined ? [] : needs(request);
    if (proof === 'malformed')
      return this.#unauthorized(wanted, asked, { message: 'the header Authorization cannot be read' });
    const claims = proof.kind === 'bearer' ? await this.#parts.tokens.read(proof.token) : undefined;
    const found = claims === undefined ? await this.#proved(proof, asked) : this.#byClaims(claims, request);
    if (typeof found !== 'string') return found;
    const error = proof.kind === 'bearer' ? ({ error: 'invalid_token' } as const) : {};
    return this.#unauthorized(wanted, asked, { ...error, message: found });
  }

  async #byCertificate({ socket, address }: GateAsked): Promise<Known | undefined> {
    const { prove } = this.#parts;
    const certificate = shownAt(socket);
    const subject = certificate && (await prove?.({ kind: 'certificate', certificate }, { address }));
    return subject === undefined || subject === 'slow-down' ? undefined : { subject };
  }

  /** Text: why it is nobody. */
  async #proved(proof: AccessProof, asked: GateAsked): Promise<Known | GateRefusal | string> {
    const { prove, slowMs } = this.#parts;
    const { address } = asked;
    const subject = await prove?.(proof, { address });
    const name = proof.kind === 'basic' ? proof.name : '';
    if (subject === 'slow-down') return this.#slowed(slowMs?.(address, name) ?? 0);
    if (subject !== undefined) return { subject };
    if (proof.kind === 'bearer') return 'this token is not taken here: get another one';
    return prove === undefined ? 'passwords are not taken here: get a token' : 'no such user, or the password is wrong';
  }

  #byClaims(claims: TokenClaims, request: OciRequest | undefined): Known | string {
    const { policy, nowMs, leewayMs } = this.#parts;
    const now = nowMs();
    const { owner, name, access, untilMs, fromMs } = claims;
    if (claims.use !== 'access') return 'this token only gets others';
    if (now < fromMs - leewayMs) return 'this token is not valid yet: are the clocks right?';
    const overMs = now - untilMs - leewayMs;
    if (overMs >= 0 && !this.#goesOn(claims, request, overMs)) return 'this token has expired: get another one';
    if (owner === 'anybody') return { subject: ANONYMOUS, access };
    if (owner === 'elsewhere') return { subject: { name, groups: claims.groups }, access };
    const user = policy.users.get(name);
    return user === undefined ? `there is no user ${name} any more` : { subject: user, access };
  }

  #goesOn({ name }: TokenClaims, request: OciRequest | undefined, overMs: number): boolean {
    if (request === undefined || !('session' in request) || overMs > uploadGraceMs) return false;
    return this.#parts.began?.(request.session, name) === true;
  }

  #granted({ repo, action }: Need, { subject }: Known): boolean {
    const { rules } = this.#parts.policy;
    return repo === undefined ? mayAnything(rules, subject) : may(rules, subject, repo, action);
  }

  #refusal(need: Need, { known, asked, wanted }: Refusing): GateRefusal | undefined {
    const { name } = known.subject;
    const what = need.repo === undefined ? 'the list of repositories' : `${need.action} of ${need.repo}`;
    if (this.#granted(need, known)) {
      if (covered(need, known)) return undefined;
      return this.#unauthorized(wanted, asked, {
        error: 'insufficient_scope',
        message: `this token is not for ${what}`,
      });
    }
    if (name === undefined) return this.#unauthorized(wanted, asked, { message: `${what} is for those who log in` });
    this.#count.inc({ outcome: 'denied' });
    return { kind: 'error', error: new ApiError('DENIED', `${what}: user ${name} may not`) };
  }

  /** Where only those write who have shown a certificate. */
  async #uncertified({ repo, action }: Need, asked: GateAsked): Promise<GateRefusal | undefined> {
    if (action === 'pull' || this.#parts.writesNeedCertificate?.() !== true) return undefined;
    if ((await this.#byCertificate(asked)) !== undefined) return undefined;
    this.#count.inc({ outcome: 'denied' });
    const message = `${action} of ${repo} is for who shows a client certificate (docker: certs.d), and there is none`;
    return { kind: 'error', error: new ApiError('DENIED', message) };
  }

  #unauthorized(wanted: readonly Need[], asked: GateAsked, { error, message }: Why): GateRefusal {
    this.#count.inc({ outcome: 'unauthorized' });
    const { service, proxy } = this.#parts;
    const { realm = proxy === undefined ? calledAs(asked) : asCalled(proxy, asked) } = this.#parts;
    const params = {
      realm: `${realm}${OCI_PATHS.token}`,
      service,
      ...(wanted.length > 0 && { scope: scopeText(wanted.flatMap(withPull)) }),
      ...(error !== undefined && { error }),
    };
    const challenge = Object.entries(params).map(([key, value]) => `${key}="${value}"`);
    const headers = { 'www-authenticate': `Bearer ${challenge.join(',')}` };
    return { kind: 'error', error: new ApiError('UNAUTHORIZED', message), headers };
  }

  #slowed(waitMs: number): GateRefusal {
    this.#count.inc({ outcome: 'slowed' });
    return slowedDown(waitMs);
  }
}

/** Who pushes looks first what is there: one token does for both. */
function withPull(need: Need): Need[] {
  return need.action === 'push' ? [{ ...need, action: 'pull' }, need] : [need];
}

function covered(need: Need, { access }: Known): boolean {
  return access === undefined || covers(access, need);
}

/** Too many wrong passwords. */
export function slowedDown(waitMs: number): GateRefusal {
  const seconds = Math.max(1, Math.ceil(waitMs / 1_000));
  const error = new ApiError('TOOMANYREQUESTS', `too many wrong passwords from here: try again in ${seconds} s`);
  return { kind: 'error', error, headers: { 'retry-after': String(seconds) } };
}

/** Over TLS as we are: a client that began so goes nowhere in clear. A cluster's proxies take both, or neither does. */
function asCalled(url: string, { socket }: GateAsked): string {
  return isTls(socket) ? url.replace(/^http:/, 'https:') : url;
}

const hostPattern = /^[A-Za-z0-9.:[\]_-]{1,255}$/;

/** By what name it reached us. */
function calledAs({ headers, socket }: { readonly headers: GateAsked['headers']; readonly socket: Socket }): string {
  const secure = isTls(socket) || headers['x-forwarded-proto'] === 'https';
  const { host = '' } = headers;
  const address = socket.localFamily === 'IPv6' ? `[${socket.localAddress}]` : socket.localAddress;
  const called = hostPattern.test(host) ? host : `${address}:${socket.localPort}`;
  return `${secure ? 'https' : 'http'}://${called}`;
}

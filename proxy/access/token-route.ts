/**
 * Where clients get tokens: GET with a name and password, as `docker login` and everybody does, and POST as OAuth has it,
 * with a password or with what an earlier answer gave in its place.
 *
 * Rule 1: who shows nothing, and no certificate either, gets a token of nobody's, if there is anything that anybody may.
 * Rule 2: what a token is for is what was asked for and is granted: less than was asked is no error here.
 * Rule 3: answers are kept by nobody between.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AccessUser } from '../../core/access/documents.ts';
import { ANONYMOUS, mayAnything, type Subject } from '../../core/access/rights.ts';
import { grantedText, scopesIn } from '../../core/access/scope.ts';
import type { TokenOwner } from '../../core/access/token-claims.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import { slowedDown } from '../../platform/access/gate.ts';
import type { Policy } from '../../platform/access/policy.ts';
import { type AccessProof, type Prover, proofIn } from '../../platform/access/prove.ts';
import type { AccessTokens } from '../../platform/access/tokens.ts';
import { clientOf, type Trusted } from '../../platform/http/call.ts';
import { errorBody } from '../../platform/http/server.ts';
import { shownAt } from '../../platform/net/other-end.ts';
import { type Issuer, passwordMark } from './issuer.ts';

/** A form has a token of ours in it, or of others, and the scopes of an image that is copied. */
const formBytesMax = 256 * 1024;
const form = 'application/x-www-form-urlencoded';

export type TokenParts = {
  readonly policy: Policy<AccessUser>;
  /** Users of the document, by their passwords. */
  readonly passwords: Prover;
  /** Of other issuers. They are asked first: what they know is no password of ours. */
  readonly elsewhere?: Prover | undefined;
  readonly slowMs: (address: string, name: string) => number;
  readonly tokens: Pick<AccessTokens, 'read'>;
  readonly issuer: Issuer;
  readonly trusted: Trusted;
  readonly nowMs: () => number;
};

/** Who asks, and what is to be said of it. */
type Asked = {
  readonly subject: Subject;
  readonly owner: TokenOwner;
  readonly scopes: readonly string[];
  /** Set where something is asked for that gets more tokens later: of this user. */
  readonly lasting?: AccessUser | undefined;
  /** What was shown for that; given back. */
  readonly shown?: string | undefined;
};
type Slow = { readonly slowMs: number };

export function addTokenRoutes(app: FastifyInstance, parts: TokenParts): void {
  app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(form, { parseAs: 'string', bodyLimit: formBytesMax }, (_request, body, parsed) =>
      parsed(null, new URLSearchParams(String(body))),
    );
    scope.get(OCI_PATHS.token, (request, reply) => answered(request, reply, () => byQuery(request, parts), parts));
    scope.post(OCI_PATHS.token, (request, reply) => answered(request, reply, () => byForm(request, parts), parts));
    done();
  });
}

async function answered(
  request: FastifyRequest,
  reply: FastifyReply,
  ask: () => Promise<Asked | Slow>,
  { issuer, policy }: TokenParts,
): Promise<FastifyReply> {
  reply.header('cache-control', 'no-store');
  const asked = await ask();
  if ('slowMs' in asked) {
    const { error, headers = {} } = slowedDown(asked.slowMs);
    return reply.code(error.status).headers(headers).send(errorBody(error));
  }
  const { subject, lasting, shown } = asked;
  const { token, claims } = await issuer.access(asked, scopesIn(asked.scopes), policy.rules);
  const refresh = shown ?? (lasting && (await issuer.refresh(lasting)));
  request.log.debug({ user: subject.name, scope: grantedText(claims.access) }, 'a token was given');
  return reply.send({
    token,
    access_token: token,
    token_type: 'Bearer',
    expires_in: Math.round((claims.untilMs - claims.fromMs) / 1_000),
    issued_at: new Date(claims.fromMs).toISOString(),
    scope: grantedText(claims.access),
    ...(refresh !== undefined && { refresh_token: refresh }),
  });
}

async function byQuery(request: FastifyRequest, parts: TokenParts): Promise<Asked | Slow> {
  const query = new URL(request.raw.url ?? '', 'http://localhost').searchParams;
  const scopes = query.getAll('scope');
  const proof = proofIn(request.headers.authorization);
  if (proof === 'malformed') throw new ApiError('UNAUTHORIZED', 'the header Authorization cannot be read');
  if (proof === undefined) {
    const shown = await certified(request, parts);
    if (shown !== undefined) return { subject: shown, owner: 'elsewhere', scopes };
    if (!mayAnything(parts.policy.rules, ANONYMOUS))
      throw new ApiError('UNAUTHORIZED', 'log in: there is nothing here for who does not say who he is');
    return { subject: ANONYMOUS, owner: 'anybody', scopes };
  }
  return await proved(proof, request, { scopes, lasts: query.get('offline_token') === 'true' }, parts);
}

/** Whoever has shown a certificate, and nothing else. */
async function certified({ raw }: FastifyRequest, { elsewhere, trusted }: TokenParts): Promise<Subject | undefined> {
  const certificate = shownAt(raw.socket);
  const found =
    certificate && (await elsewhere?.({ kind: 'certificate', certificate }, { address: clientOf(raw, trusted) }));
  return typeof found === 'object' ? found : undefined;
}

async function byForm(request: FastifyRequest, parts: TokenParts): Promise<Asked | Slow> {
  const { body } = request;
  if (!(body instanceof URLSearchParams)) throw new ApiError('REQUEST_INVALID', `the body is no ${form}`);
  const scopes = body.getAll('scope');
  const lasts = body.get('access_type') === 'offline';
  switch (body.get('grant_type')) {
    case 'password': {
      const proof = { kind: 'basic', name: body.get('username') ?? '', password: body.get('password') ?? '' } as const;
      return await proved(proof, request, { scopes, lasts }, parts);
    }
    case 'refresh_token':
      return await refreshed(body.get('refresh_token') ?? '', scopes, parts);
    default:
      throw new ApiError('REQUEST_INVALID', 'grant_type is neither password nor refresh_token');
  }
}

async function proved(
  proof: AccessProof,
  request: FastifyRequest,
  { scopes, lasts }: { readonly scopes: readonly string[]; readonly lasts: boolean },
  { passwords, elsewhere, slowMs, policy, trusted }: TokenParts,
): Promise<Asked | Slow> {
  const from = { address: clientOf(request.raw, trusted) };
  const other = await elsewhere?.(proof, from);
  if (typeof other === 'object') return { subject: other, owner: 'elsewhere', scopes };
  const own = other ?? (await passwords(proof, from));
  if (own === 'slow-down') return { slowMs: slowMs(from.address, proof.kind === 'basic' ? proof.name : '') };
  if (own === undefined) throw new ApiError('UNAUTHORIZED', 'no such user, or what proves it is wrong');
  const lasting = lasts ? policy.users.get(own.name ?? '') : undefined;
  return { subject: own, owner: 'users', scopes, lasting };
}

async function refreshed(token: string, scopes: readonly string[], parts: TokenParts): Promise<Asked> {
  const { tokens, policy, nowMs } = parts;
  const claims = await tokens.read(token);
  const user = claims && policy.users.get(claims.name);
  const counts =
    claims?.use === 'refresh' &&
    nowMs() < claims.untilMs &&
    user !== undefined &&
    passwordMark(user.password) === claims.password;
  if (!counts) throw new ApiError('UNAUTHORIZED', 'this login has ended: log in again');
  return { subject: { name: user.name, groups: user.groups }, owner: 'users', scopes, shown: token };
}

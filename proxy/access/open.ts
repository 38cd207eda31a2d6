/**
 * Access at a proxy: who is there, what rules say, the tokens that are given for it, and the gate of the registry. Loaded only
 * where `access` is set.
 */

import type { FastifyInstance } from 'fastify';
import { type AccessDocument, type AccessUser, accessDocument, accessKeys } from '../../core/access/documents.ts';
import { cutOffOf } from '../../platform/access/config.ts';
import { ElsewhereProofs } from '../../platform/access/elsewhere.ts';
import { AccessGate } from '../../platform/access/gate.ts';
import { Guesses } from '../../platform/access/guesses.ts';
import { passwordMatches } from '../../platform/access/hashes.ts';
import { Passwords } from '../../platform/access/passwords.ts';
import { Policy } from '../../platform/access/policy.ts';
import { firstOf } from '../../platform/access/prove.ts';
import { reading } from '../../platform/access/reading.ts';
import { AccessTokens, tokenIssuer } from '../../platform/access/tokens.ts';
import type { AuditLog } from '../../platform/audit/log.ts';
import { CallContext } from '../../platform/clients/context.ts';
import type { DocumentClient } from '../../platform/clients/documents.ts';
import { FollowedDocument } from '../../platform/clients/followed.ts';
import { trustedOf } from '../../platform/http/call.ts';
import type { RoleContext } from '../../platform/lifecycle/role.ts';
import { realClock } from '../../platform/net/clock.ts';
import { uploadBegunBy } from '../upload.ts';
import type { ProxyAccessConfig } from './config.ts';
import { Issuer } from './issuer.ts';
import { Keeper } from './keeper.ts';
import { drawKey, keyOfFile, SigningKeys } from './keys.ts';
import { addTokenRoutes } from './token-route.ts';

type Config = { readonly cluster: string; readonly trustedProxies: readonly string[] };

type Parts = {
  readonly documents: DocumentClient;
  readonly audit: Pick<AuditLog, 'write'> | undefined;
  readonly stack: AsyncDisposableStack;
};

export type ProxyAccess = {
  readonly gate: AccessGate;
  addRoutes(app: FastifyInstance): void;
  /** What somebody should see to. */
  problems(): string[];
};

/** All of it is closed with the stack. Throws StartError. */
export async function openProxyAccess(
  { config, env, secure, log, metrics }: Pick<RoleContext<Config>, 'config' | 'env' | 'secure' | 'log' | 'metrics'>,
  access: ProxyAccessConfig,
  { documents, audit, stack }: Parts,
): Promise<ProxyAccess> {
  const parties = { issuer: tokenIssuer(config.cluster), audience: config.cluster };
  const own = access.key === undefined ? undefined : keyOfFile(access.key);
  const following = { documents, clock: realClock, log, metrics };
  const users = stack.use(new FollowedDocument({ ...following, name: 'access', parse: reading(accessDocument) }));
  const keys = stack.use(new FollowedDocument({ ...following, name: 'access-key', parse: reading(accessKeys) }));
  const nowMs = (): number => Date.now();
  stack.use(
    new Keeper({ documents: writing(documents), access: users, keys, own: own?.jwk, draw: drawKey, nowMs, log }),
  );
  const known = { env, components: secure?.components, clock: realClock, nowMs, log, metrics };
  const elsewhere = stack.use(new ElsewhereProofs(known));
  users.onChange((now) => elsewhere.use(now));
  await Promise.all([users.start(), keys.start()]);
  const policy = new Policy<AccessUser>(
    {
      // There may be none, which the index says as well.
      value: () => users.value() ?? (Number.isFinite(users.ageMs()) ? nobody : undefined),
      ageMs: () => users.ageMs(),
    },
    cutOffOf(access),
  );
  const signing = new SigningKeys(keys, own, nowMs);
  const tokens = new AccessTokens({ ...parties, keys: signing.known });
  const guesses = new Guesses();
  const wrong = metrics.counter('access_wrong_passwords_total', 'Passwords that were wrong');
  const passwords = new Passwords({
    users: () => policy.users,
    matches: passwordMatches,
    guesses,
    nowMs,
    wrong(name, { address }) {
      wrong.inc();
      const who = { user: name.slice(0, shownMax), address };
      // Nobody waits for it, and what guessing costs bounds it; that it cannot be written is the log's to say.
      audit?.write({ what: 'wrong password', result: 'UNAUTHORIZED', who }).catch(() => undefined);
      log.warn(who, 'a wrong password, or no such user');
    },
  }).prove;
  const slowMs = (address: string, name: string): number => guesses.leftMs(address, name, nowMs());
  const gate = new AccessGate({
    policy,
    tokens,
    // What other issuers' tokens are is no guess at a password.
    prove: firstOf([elsewhere.prover, passwords]),
    writesNeedCertificate: () => elsewhere.writesNeedCertificate,
    slowMs,
    realm: access.realm,
    service: parties.audience,
    leewayMs: access.leeway,
    began: uploadBegunBy,
    nowMs,
    log,
    metrics,
  });
  const { token: tokenMs, refresh: refreshMs } = access;
  const issuer = new Issuer({ ...parties, signing: signing.signing, tokenMs, refreshMs, nowMs });
  const trusted = trustedOf(config.trustedProxies);
  return {
    gate,
    addRoutes: (app) =>
      addTokenRoutes(app, { policy, passwords, elsewhere: elsewhere.prover, slowMs, tokens, issuer, trusted, nowMs }),
    problems: () => [...users.problems(), ...keys.problems(), ...policy.warnings(), ...elsewhere.warnings()],
  };
}

/** Of a name that nobody has, in the log. */
const shownMax = 64;

/** As long as nobody was added. */
const nobody: AccessDocument = { users: [], rules: [], issuers: [], keyGeneration: 0, forgetKeys: false };

function writing(documents: DocumentClient): ConstructorParameters<typeof Keeper>[0]['documents'] {
  return {
    read: (name, signal) => documents.read(name, CallContext.begin({ signal })),
    put: (name, body, { expected, signal }) => documents.put(name, body, expected, CallContext.begin({ signal })),
  };
}

/**
 * Access at an agent: tokens are verified, by what the proxies have told of keys, users and rules; passwords are not taken, and
 * nobody is asked. Loaded only where `access` is set.
 */

import { accessPublic } from '../../core/access/documents.ts';
import { cutOffOf } from '../../platform/access/config.ts';
import { ElsewhereProofs } from '../../platform/access/elsewhere.ts';
import { AccessGate } from '../../platform/access/gate.ts';
import { Policy } from '../../platform/access/policy.ts';
import { reading } from '../../platform/access/reading.ts';
import { AccessTokens, tokenIssuer } from '../../platform/access/tokens.ts';
import type { DocumentClient } from '../../platform/clients/documents.ts';
import { FollowedDocument } from '../../platform/clients/followed.ts';
import type { IndexClient } from '../../platform/clients/index-client.ts';
import type { RoleContext } from '../../platform/lifecycle/role.ts';
import { realClock } from '../../platform/net/clock.ts';
import type { AgentAccessConfig } from './config.ts';
import { RepositoryLinks } from './links.ts';

type Config = { readonly cluster: string; readonly data: string; readonly proxy: string };
type Parts = {
  readonly documents: DocumentClient;
  readonly index: Pick<IndexClient, 'blob'>;
  readonly stack: AsyncDisposableStack;
};

export type AgentAccess = {
  readonly gate: AccessGate;
  readonly links: RepositoryLinks;
  /** What somebody should see to. */
  problems(): string[];
};

/** All of it is closed with the stack. */
export async function openAgentAccess(
  { config, env, secure, log, metrics }: Pick<RoleContext<Config>, 'config' | 'env' | 'secure' | 'log' | 'metrics'>,
  access: AgentAccessConfig,
  { documents, index, stack }: Parts,
): Promise<AgentAccess> {
  const { cluster, data: dir, proxy } = config;
  const told = stack.use(
    new FollowedDocument({
      name: 'access-public',
      documents,
      parse: reading(accessPublic),
      dir,
      clock: realClock,
      log,
      metrics,
    }),
  );
  const nowMs = (): number => Date.now();
  const known = { env, components: secure?.components, clock: realClock, nowMs, log, metrics };
  const elsewhere = stack.use(new ElsewhereProofs(known));
  told.onChange((now) => elsewhere.use(now));
  await told.start();
  const policy = new Policy(told, cutOffOf(access));
  const tokens = new AccessTokens({
    issuer: tokenIssuer(cluster),
    audience: cluster,
    keys: () => told.value()?.keys ?? [],
  });
  const gate = new AccessGate({
    policy,
    tokens,
    prove: elsewhere.prover,
    writesNeedCertificate: () => elsewhere.writesNeedCertificate,
    realm: access.realm,
    proxy,
    service: cluster,
    leewayMs: access.leeway,
    nowMs,
    log,
    metrics,
  });
  const links = new RepositoryLinks({ index, rememberMs: access.remember, nowMs: () => performance.now() });
  return { gate, links, problems: () => [...told.problems(), ...policy.warnings(), ...elsewhere.warnings()] };
}

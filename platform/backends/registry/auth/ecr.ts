/** Amazon's registry: a password for twelve hours, by AWS's own keys. */

import { ECRClient, GetAuthorizationTokenCommand } from '@aws-sdk/client-ecr';
import { agents } from '../../../http/agents.ts';
import { webConnectMsMax } from '../../web/limits.ts';
import { cloudLoginMsMin, cloudMarginMs, cloudSocketsMax } from '../limits.ts';
import type { Look, SourceOf } from './login.ts';

type EcrSaid = {
  readonly region: string;
  readonly registryId?: string | undefined;
  readonly profile?: string | undefined;
  readonly endpoint?: string | undefined;
};

export function ecrLogins({ region, registryId, profile, endpoint }: EcrSaid, { env, stallMs }: SourceOf): Look {
  const { http, https } = agents({ env, sockets: cloudSocketsMax, ca: undefined });
  const requestHandler = {
    ...{ httpAgent: http, httpsAgent: https, connectionTimeout: webConnectMsMax, socketTimeout: stallMs },
  };
  const client = new ECRClient({
    ...{ region, requestHandler, maxAttempts: 1 },
    ...(profile !== undefined && { profile }),
    ...(endpoint !== undefined && { endpoint }),
  });
  return async (abortSignal) => {
    const asked = new GetAuthorizationTokenCommand(registryId === undefined ? {} : { registryIds: [registryId] });
    const { authorizationData } = await client.send(asked, { abortSignal });
    const [{ authorizationToken = '', expiresAt } = {}] = authorizationData ?? [];
    const decoded = Buffer.from(authorizationToken, 'base64').toString('utf8');
    const colon = decoded.indexOf(':');
    if (colon <= 0) throw new Error('ECR answers without a user and a password');
    const login = { kind: 'password', username: decoded.slice(0, colon), password: decoded.slice(colon + 1) } as const;
    // A clock that is off, theirs or ours, is no reason to ask for each request.
    const leftMs = (expiresAt?.getTime() ?? 0) - Date.now() - cloudMarginMs;
    return { login, forMs: Math.max(cloudLoginMsMin, leftMs) };
  };
}

/**
 * Azure's registries: a token of the directory is exchanged at the registry for a refresh token of three hours, and that for
 * tokens of repositories as any identity token is.
 */

import { DefaultAzureCredential } from '@azure/identity';
import { OCI_PATHS } from '../../../../core/oci/paths.ts';
import { cloudLoginMsMin, cloudMarginMs } from '../limits.ts';
import type { Look, SourceOf } from './login.ts';

type AzureSaid = {
  readonly clientId?: string | undefined;
  readonly tenant?: string | undefined;
  readonly audience: string;
};

export function azureLogins({ clientId, tenant, audience }: AzureSaid, { base, request }: SourceOf): Look {
  const credential = new DefaultAzureCredential({
    ...(clientId !== undefined && { managedIdentityClientId: clientId, workloadIdentityClientId: clientId }),
    ...(tenant !== undefined && { tenantId: tenant }),
  });
  return async (signal) => {
    const { token } = await credential.getToken(audience, { abortSignal: signal });
    const form = new URLSearchParams({ grant_type: 'access_token', service: base.host, access_token: token });
    if (tenant !== undefined) form.set('tenant', tenant);
    const answer = await request({
      ...{ method: 'POST', url: new URL(OCI_PATHS.azureExchange, base), body: Buffer.from(form.toString()), signal },
      ...{ headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      ...{ doing: "exchange the directory's token for one of the registry", object: undefined },
    });
    const { refresh_token: refresh } = (await answer.json()) as { readonly refresh_token?: unknown };
    if (typeof refresh !== 'string' || refresh === '')
      throw answer.wrong('unavailable', 'answers without a refresh token', 'it may be no registry of Azure');
    const leftMs = expiryMsOf(refresh) - Date.now() - cloudMarginMs;
    return { login: { kind: 'identity', token: refresh }, forMs: Math.max(cloudLoginMsMin, leftMs) };
  };
}

/** Of a token that is a JWT; nobody believes it, it is only asked for again by then. 0: it does not say. */
function expiryMsOf(token: string): number {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as {
      readonly exp?: unknown;
    };
    return typeof exp === 'number' ? exp * 1000 : 0;
  } catch {
    return 0;
  }
}

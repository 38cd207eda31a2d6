/** Google's registries: an access token for an hour, of a service account, of the machine or of whoever is logged in. */

import { readFile } from 'node:fs/promises';
import { type AuthClient, GoogleAuth } from 'google-auth-library';
import { googleKeyOf } from '../../gcs/key.ts';
import { cloudLoginMsMin, cloudMarginMs } from '../limits.ts';
import type { Look } from './login.ts';

const scope = 'https://www.googleapis.com/auth/cloud-platform';
/** As Google's registries call whoever shows an access token. */
const username = 'oauth2accesstoken';

export function googleLogins({ keyFile }: { readonly keyFile?: string | undefined }): Look {
  const auth = new GoogleAuth({ scopes: [scope] });
  // A key that was replaced is read with the next look.
  const client = async (): Promise<AuthClient> =>
    keyFile === undefined ? await auth.getClient() : googleKeyOf(await readFile(keyFile, 'utf8')).client({}, scope);
  return async () => {
    const asked = await client();
    const { token } = await asked.getAccessToken();
    if (typeof token !== 'string' || token === '') throw new Error('there is no access token to be had');
    const { expiry_date: expiryMs } = asked.credentials;
    const leftMs = (expiryMs ?? 0) - Date.now() - cloudMarginMs;
    return { login: { kind: 'password', username, password: token }, forMs: Math.max(cloudLoginMsMin, leftMs) };
  };
}

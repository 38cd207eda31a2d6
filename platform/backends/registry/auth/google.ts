/** Google's registries: an access token for an hour, of a service account, of the machine or of whoever is logged in. */

import { GoogleAuth } from 'google-auth-library';
import { cloudLoginMsMin, cloudMarginMs } from '../limits.ts';
import type { Look } from './login.ts';

const scopes = 'https://www.googleapis.com/auth/cloud-platform';
/** As Google's registries call whoever shows an access token. */
const username = 'oauth2accesstoken';

export function googleLogins({ keyFile }: { readonly keyFile?: string | undefined }): Look {
  const auth = new GoogleAuth({ scopes, ...(keyFile !== undefined && { keyFilename: keyFile }) });
  return async () => {
    const client = await auth.getClient();
    const { token } = await client.getAccessToken();
    if (typeof token !== 'string' || token === '') throw new Error('there is no access token to be had');
    const { expiry_date: expiryMs } = client.credentials;
    const leftMs = (expiryMs ?? 0) - Date.now() - cloudMarginMs;
    return { login: { kind: 'password', username, password: token }, forMs: Math.max(cloudLoginMsMin, leftMs) };
  };
}

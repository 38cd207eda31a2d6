/**
 * A file of credentials of Google's, by its type, as a client of its library.
 *
 * Rule: what of it is wrong or not known here is an error that says so.
 */

import {
  type AuthClient,
  ExternalAccountClient,
  type ExternalAccountClientOptions,
  JWT,
  type OAuth2ClientOptions,
  UserRefreshClient,
} from 'google-auth-library';
import * as z from 'zod';

const text = z.string().min(1);
/** Of a service account. */
const account = z.looseObject({
  type: z.literal('service_account'),
  client_email: text,
  private_key: text,
  private_key_id: text.optional(),
  /** Where its tokens are had. */
  token_uri: z.url().optional(),
});
/** Workload identity federation: what another provider says of this host or process. */
const federated = z.looseObject({ type: z.literal('external_account'), audience: text, token_url: z.url() });
/** A login by gcloud. */
const login = z.looseObject({
  type: z.literal('authorized_user'),
  client_id: text,
  client_secret: text,
  refresh_token: text,
});
const known = z.discriminatedUnion('type', [account, federated, login]);

export type GoogleKey = {
  readonly tokenUri: string | undefined;
  readonly client: (options: OAuth2ClientOptions, scope: string) => AuthClient;
};

export function googleKeyOf(content: string): GoogleKey {
  const key = known.safeParse(JSON.parse(content));
  if (!key.success)
    throw new Error(`it is no key that is known here: ${z.prettifyError(key.error).replace(/\s+/g, ' ')}`);
  const { data } = key;
  const tokenUri = data.type === 'service_account' ? data.token_uri : undefined;
  return { tokenUri, client: (options, scope) => clientOf(data, options, scope) };
}

function clientOf(key: z.output<typeof known>, options: OAuth2ClientOptions, scope: string): AuthClient {
  if (key.type === 'service_account') {
    const { client_email: email, private_key: secret, private_key_id: id } = key;
    return new JWT({ ...options, email, key: secret, ...(id !== undefined && { keyId: id }), scopes: [scope] });
  }
  if (key.type === 'authorized_user') {
    const { client_id: clientId, client_secret: clientSecret, refresh_token: refreshToken } = key;
    return new UserRefreshClient({ ...options, clientId, clientSecret, refreshToken });
  }
  const client = ExternalAccountClient.fromJSON({ ...key, ...options } as ExternalAccountClientOptions);
  if (client === null) throw new Error('it is no configuration of workload identity federation');
  client.scopes = [scope];
  return client;
}

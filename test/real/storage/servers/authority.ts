/** An authority that gives tokens for a registry of distribution: signed, for whoever has the password, for what was asked for. */
import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { certificate } from '../../../../platform/backends/web/web.fixtures.ts';

export type Authority = AsyncDisposable & {
  /** `auth:` of the registry's configuration. */
  readonly auth: object;
  /** Scopes that were asked for, and by whom. */
  readonly asked: string[];
};

const [issuer, service] = ['shoal-tests', 'registry'];

/** `shown`: the header of who may; everybody else is refused. Tokens live for so many seconds. */
export async function startAuthority(dir: string, shown: string, seconds = 60): Promise<Authority> {
  const { cert, key } = certificate(dir, 'authority');
  const signing = createPrivateKey(readFileSync(key));
  const chain = [new X509Certificate(readFileSync(cert)).raw.toString('base64')];
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://x');
    const scopes = searchParams.getAll('scope').flatMap((scope) => scope.split(' '));
    asked.push(scopes.join(' '));
    if (request.headers.authorization !== shown) return void response.writeHead(401).end();
    const access = scopes.map((scope) => {
      const [type, ...rest] = scope.split(':');
      return { type, name: rest.slice(0, -1).join(':'), actions: rest.at(-1)?.split(',') };
    });
    const now = Math.floor(Date.now() / 1000);
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const head = part({ typ: 'JWT', alg: 'ES256', x5c: chain });
    const times = { iat: now - 5, nbf: now - 5, exp: now + seconds };
    const claims = part({ iss: issuer, sub: 'shoal', aud: service, jti: randomUUID(), ...times, access });
    const signature = sign('sha256', Buffer.from(`${head}.${claims}`), { key: signing, dsaEncoding: 'ieee-p1363' });
    const token = `${head}.${claims}.${signature.toString('base64url')}`;
    response.end(JSON.stringify({ token, expires_in: seconds }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const realm = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  return {
    auth: { token: { realm, service, issuer, rootcertbundle: cert } },
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

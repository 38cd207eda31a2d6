/** A registry of distribution (Debian's docker-registry) on a directory: open, with a password, with tokens; with TLS or without. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { certificate } from '../../../../platform/backends/web/web.fixtures.ts';
import { freePort } from '../../../../platform/testing/ports.ts';
import { need } from '../../programs.ts';
import { startAuthority } from './authority.ts';
import { Restartable, type StorageServer } from './server.ts';

export const registryLogin = { username: 'shoal', password: 'secret' };
/** `secret`, as bcrypt. */
const shoalHtpasswd = 'shoal:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n';

export type DistributionServer = StorageServer & {
  readonly rule: { readonly name: string; readonly registry: Readonly<Record<string, unknown>> };
  readonly address: string;
  /** Stopped and started again, as is. */
  readonly process: Restartable;
  /** Of an authority: what was asked. */
  readonly asked: readonly string[];
};
/** `htpasswd`: who is let in by `basic`, with bcrypt's hash. */
export type DistributionOptions = {
  readonly auth?: 'basic' | 'token';
  readonly tls?: boolean;
  readonly htpasswd?: string;
};

export async function startDistribution(
  dir: string,
  { auth, tls = false, htpasswd = shoalHtpasswd }: DistributionOptions = {},
): Promise<DistributionServer> {
  const stack = new AsyncDisposableStack();
  mkdirSync(join(dir, 'data'));
  const port = await freePort();
  const shown = `Basic ${Buffer.from('shoal:secret').toString('base64')}`;
  const authority = auth === 'token' ? stack.use(await startAuthority(dir, shown)) : undefined;
  if (auth === 'basic') writeFileSync(join(dir, 'htpasswd'), htpasswd);
  const basic = { htpasswd: { realm: 'tests', path: join(dir, 'htpasswd') } };
  const { cert, key } = tls ? certificate(dir, 'server') : { cert: undefined, key: undefined };
  const config = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(dir, 'data') }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}`, secret: 'tests', ...(tls && { tls: { certificate: cert, key } }) },
    ...(auth === 'basic' && { auth: basic }),
    ...(authority !== undefined && { auth: authority.auth }),
  };
  // JSON is YAML.
  writeFileSync(join(dir, 'config.yml'), JSON.stringify(config));
  const program = new Restartable({
    command: [need('docker-registry'), 'serve', join(dir, 'config.yml')],
    log: join(dir, 'registry.log'),
    ready: () => listens(port),
  });
  stack.use(program);
  await program.start();
  const address = `${tls ? 'localhost' : '127.0.0.1'}:${port}`;
  const registry = {
    ...{ address, plainHttp: !tls, ...(tls && { ca: cert }) },
    ...(auth !== undefined && { credentials: registryLogin }),
  };
  return {
    ...{ rule: { name: 'main', registry }, env: {}, address, process: program, asked: authority?.asked ?? [] },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

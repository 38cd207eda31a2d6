/** For tests of real clients: a cluster with TLS and access on, its users, and what each client keeps of a login. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CallersCluster } from '../../access-callers.fixtures.ts';
import { writeContext } from '../image.ts';
import { run, temporary } from '../processes.ts';

/** alice pushes and pulls below `team`, bob pulls there, and carol may nothing. */
export const PASSWORDS = { alice: 'alice-1', bob: 'bob-1', carol: 'carol-1' } as const;

export type Registries = {
  readonly cluster: CallersCluster;
  readonly dir: string;
  /** host:port. */
  readonly proxy: string;
  readonly agent: string;
};

/** `proxyNames`: by which the proxy is called beside loopback's. */
export async function startRegistries(
  stack: AsyncDisposableStack,
  proxyNames: readonly string[] = [],
): Promise<Registries> {
  const [dir, cluster] = await Promise.all([temporary(stack, 'access'), CallersCluster.start(stack, proxyNames)]);
  await cluster.set({
    passwords: PASSWORDS,
    rules: [
      { repositories: ['team/**'], who: ['user:alice', 'user:ci:builder', 'group:release'], may: ['pull', 'push'] },
      { repositories: ['team/**'], who: ['user:bob', 'group:ci:system:serviceaccounts:prod'], may: ['pull'] },
    ],
    issuers: [{ issuer: cluster.issuer.url, audience: 'shoal', prefix: 'ci:' }],
    certificates: { ca: cluster.users.pair.certificate },
  });
  const host = (door: 'proxy' | 'agent'): string => new URL(cluster.url(door)).host;
  return { cluster, dir, proxy: host('proxy'), agent: host('agent') };
}

/** A file as `docker login` writes it, and as Kubernetes has it in a secret of type kubernetes.io/dockerconfigjson. Its directory. */
export async function dockerConfig({ dir, proxy, agent }: Registries, name: string, password: string): Promise<string> {
  const at = join(dir, `docker-${name}`);
  const auth = { auth: Buffer.from(`${name}:${password}`).toString('base64') };
  await mkdir(at, { recursive: true });
  await writeFile(join(at, 'config.json'), JSON.stringify({ auths: { [proxy]: auth, [agent]: auth } }));
  return at;
}

/** A small image in a directory, `oci:DIR:1`, made by buildah. */
export async function buildImage(dir: string): Promise<string> {
  const storage = ['--root', join(dir, 'build/root'), '--runroot', join(dir, 'build/run'), '--storage-driver', 'vfs'];
  await writeContext(join(dir, 'context'), [2 << 20, 1 << 20]);
  await run('buildah', [...storage, 'bud', '--isolation', 'chroot', '-q', '-t', 'built', join(dir, 'context')]);
  await run('buildah', [...storage, 'push', '-q', 'built', `oci:${join(dir, 'oci')}:1`]);
  return `oci:${join(dir, 'oci')}:1`;
}

/** What a command that must fail says. */
export async function refusal(running: Promise<string>): Promise<string> {
  return await running.then(
    (printed) => `it was accepted: ${printed}`,
    (error: Error) => error.message,
  );
}

/** Of whoever is known and may not. */
export const denied = /denied|forbidden|403/i;
/** Of whoever is not known. */
export const unauthorized = /unauthorized|authentication required|401|no such user/i;

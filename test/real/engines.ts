/** Real container engines, each with its own data directory and socket, never the machine's own. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keepRunning, run, temporary } from './processes.ts';
import { need } from './programs.ts';

const readyMsMax = 60_000;

/** A dockerd without network set-up; the result runs `docker` against it. Its socket is `at`/sock. */
export async function startDocker(
  stack: AsyncDisposableStack,
  at?: string,
): Promise<(...args: string[]) => Promise<string>> {
  const dir = at ?? (await temporary(stack, 'docker'));
  const socket = `unix://${join(dir, 'sock')}`;
  stack.defer(() => unmountUnder(dir));
  const daemon = keepRunning(
    [
      need('dockerd'),
      ...['--data-root', join(dir, 'data'), '--exec-root', join(dir, 'exec'), '--pidfile', join(dir, 'pid')],
      ...['-H', socket, '--bridge=none', '--iptables=false', '--ip6tables=false'],
    ],
    join(dir, 'log'),
  );
  stack.use(daemon);
  const env = { DOCKER_HOST: socket, DOCKER_BUILDKIT: '0', DOCKER_CONFIG: join(dir, 'config') };
  const docker = (...args: string[]): Promise<string> => run('docker', args, env);
  await daemon.until(async () => (await docker('version')) !== '', readyMsMax);
  return docker;
}

/** A containerd, without its Kubernetes plug-in unless that is asked for; the result runs `ctr` against it. Its root is `at`/root, its socket `at`/sock. */
export async function startContainerd(
  stack: AsyncDisposableStack,
  at?: string,
  { kubernetes = false }: { readonly kubernetes?: boolean } = {},
): Promise<(...args: string[]) => Promise<string>> {
  const dir = at ?? (await temporary(stack, 'containerd'));
  const socket = join(dir, 'sock');
  const config = [
    'version = 2',
    `root = "${join(dir, 'root')}"`,
    `state = "${join(dir, 'state')}"`,
    ...(kubernetes ? [] : ['disabled_plugins = ["io.containerd.grpc.v1.cri"]']),
    '[grpc]',
    `  address = "${socket}"`,
  ];
  writeFileSync(join(dir, 'config.toml'), `${config.join('\n')}\n`);
  stack.defer(() => unmountUnder(dir));
  const daemon = keepRunning([need('containerd'), '--config', join(dir, 'config.toml')], join(dir, 'log'));
  stack.use(daemon);
  const ctr = (...args: string[]): Promise<string> => run('ctr', ['-a', socket, ...args]);
  await daemon.until(async () => (await ctr('version')) !== '', readyMsMax);
  return ctr;
}

/** Engines leave mounts behind that keep their directory from being removed. */
function unmountUnder(dir: string): void {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const ours = mounts.map((line) => line.split(' ')[1] ?? '').filter((at) => at.startsWith(`${dir}/`));
  for (const at of ours.reverse()) execFileSync('umount', ['-l', at]);
}

/**
 * The outside programs that each group of real tests needs, and how each is installed. Nothing is skipped for want of
 * a program: run.ts fails the group and prints the hint.
 *
 * Go programs are built once into a directory outside of the checkout and found there by later runs.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const toolCache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'shoal-test', 'bin');

/** Where programs are looked for: our own builds first, then PATH, then where Debian and Go put daemons and tools. */
const searched = [
  toolCache,
  ...(process.env['PATH'] ?? '').split(delimiter),
  '/usr/sbin',
  '/sbin',
  '/usr/local/go/bin',
];

type Source = { readonly apt: string } | { readonly go: string };

const PROGRAMS: Readonly<Record<string, Source>> = {
  dockerd: { apt: 'docker.io' },
  docker: { apt: 'docker.io' },
  containerd: { apt: 'containerd' },
  ctr: { apt: 'containerd' },
  curl: { apt: 'curl' },
  skopeo: { apt: 'skopeo' },
  podman: { apt: 'podman' },
  buildah: { apt: 'buildah' },
  busybox: { apt: 'busybox-static' },
  ip: { apt: 'iproute2' },
  npm: { apt: 'npm' },
  sh: { apt: 'dash' },
  crane: { go: 'github.com/google/go-containerregistry/cmd/crane@v0.22.1' },
  helm: { go: 'helm.sh/helm/v3/cmd/helm@v3.22.0' },
  versitygw: { go: 'github.com/versity/versitygw/cmd/versitygw@v1.8.0' },
  minio: { go: 'github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c' },
};

export const GROUPS = {
  clients: ['dockerd', 'docker', 'containerd', 'ctr', 'skopeo', 'podman', 'buildah', 'busybox', 'crane', 'curl'],
  hosts: ['ip', 'skopeo', 'busybox'],
  package: ['npm', 'sh'],
  storage: ['versitygw', 'minio', 'dockerd', 'docker', 'busybox'],
  kube: ['helm'],
  chaos: [],
} as const satisfies Record<string, readonly string[]>;

export type Group = keyof typeof GROUPS;

/** The program's path, or undefined where it is not installed. */
export function find(program: string): string | undefined {
  return searched.map((folder) => join(folder, program)).find(isExecutable);
}

/** The program's path; throws where it is not installed. */
export function need(program: string): string {
  const path = find(program);
  if (path === undefined) throw new Error(`${program} is not installed: ${hint(program)}`);
  return path;
}

export function missing(group: Group): string[] {
  return GROUPS[group].filter((program) => find(program) === undefined);
}

/** What to type to install the program. */
export function hint(program: string): string {
  const source = sourceOf(program);
  if ('apt' in source) return `apt-get install -y --no-install-recommends ${source.apt}`;
  return `GOBIN=${toolCache} go install ${source.go}`;
}

/** Installs what is missing of these; throws with the installer's own words. Needs root for Debian packages. */
export async function install(programs: readonly string[]): Promise<void> {
  const sources = programs.map(sourceOf);
  const packages = [...new Set(sources.flatMap((source) => ('apt' in source ? [source.apt] : [])))];
  if (packages.length > 0) await installPackages(packages);
  for (const source of sources) if ('go' in source) await buildGo(source.go);
}

async function installPackages(packages: readonly string[]): Promise<void> {
  const options = {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    maxBuffer: 64 << 20,
  };
  const args = ['install', '-y', '--no-install-recommends', ...packages];
  await run('apt-get', ['update', '-q'], options);
  await run('apt-get', args, options);
}

async function buildGo(module: string): Promise<void> {
  const go = find('go');
  if (go === undefined) throw new Error(`go is needed to build ${module}: install Go 1.24 or newer`);
  await run(go, ['install', module], { env: { ...process.env, GOBIN: toolCache }, maxBuffer: 64 << 20 });
}

function sourceOf(program: string): Source {
  const source = PROGRAMS[program];
  if (source === undefined) throw new Error(`programs.ts does not say how ${program} is installed`);
  return source;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

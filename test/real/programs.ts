/**
 * The outside programs that each group of real tests needs, and how each is installed. Nothing is skipped for want of
 * a program: run.ts fails the group and prints the hint.
 *
 * Go programs are built, and npm's, pip's and Maven's installed, once into a directory outside of the checkout and found there by later runs.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { chmod, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'shoal-test');
export const toolCache = join(cache, 'bin');

/** Where programs are looked for: our own builds first, then PATH, then where Debian and Go put daemons and tools. */
const searched = [
  toolCache,
  ...(process.env['PATH'] ?? '').split(delimiter),
  '/usr/sbin',
  '/sbin',
  '/usr/local/go/bin',
  ...postgresFolders(),
];

/** Of npm's and pip's packages the program that has the entry's name; of Maven's a java that has those jars, and what they need. */
type Source =
  | { readonly apt: string }
  | { readonly go: string }
  | { readonly npm: string }
  | { readonly pip: string }
  | { readonly maven: readonly string[] };

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
  'docker-registry': { apt: 'docker-registry' },
  ip: { apt: 'iproute2' },
  tc: { apt: 'iproute2' },
  iptables: { apt: 'iptables' },
  faketime: { apt: 'faketime' },
  'mkfs.ext4': { apt: 'e2fsprogs' },
  losetup: { apt: 'mount' },
  mount: { apt: 'mount' },
  umount: { apt: 'mount' },
  xfs_io: { apt: 'xfsprogs' },
  npm: { apt: 'npm' },
  sh: { apt: 'dash' },
  crane: { go: 'github.com/google/go-containerregistry/cmd/crane@v0.22.1' },
  cosign: { go: 'github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5' },
  regctl: { go: 'github.com/regclient/regclient/cmd/regctl@v0.11.7' },
  helm: { go: 'helm.sh/helm/v3/cmd/helm@v3.22.0' },
  versitygw: { go: 'github.com/versity/versitygw/cmd/versitygw@v1.8.0' },
  minio: { go: 'github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c' },
  'fake-gcs-server': { go: 'github.com/fsouza/fake-gcs-server@v1.56.1' },
  nginx: { apt: 'nginx-light' },
  mariadbd: { apt: 'mariadb-server' },
  'mariadb-install-db': { apt: 'mariadb-server' },
  postgres: { apt: 'postgresql' },
  initdb: { apt: 'postgresql' },
  pg_isready: { apt: 'postgresql' },
  pg_basebackup: { apt: 'postgresql' },
  'redis-server': { apt: 'redis-server' },
  setpriv: { apt: 'util-linux' },
  mvn: { apt: 'maven' },
  javac: { apt: 'default-jdk-headless' },
  'hadoop-java': {
    maven: [
      'org.apache.hadoop:hadoop-client-api:3.4.1',
      'org.apache.hadoop:hadoop-client-runtime:3.4.1',
      'org.apache.hadoop:hadoop-client-minicluster:3.4.1',
      'org.slf4j:slf4j-simple:1.7.36',
      // Java has had none of its own since 11, and WebHDFS needs it.
      'javax.xml.bind:jaxb-api:2.3.1',
      'org.glassfish.jaxb:jaxb-runtime:2.3.9',
    ],
  },
  'azurite-blob': { npm: 'azurite@3.36.0' },
  python3: { apt: 'python3-venv' },
  moto_server: { pip: 'moto[server]==5.2.2' },
};

/** Debian keeps what a server of PostgreSQL is made of apart, by version. */
function postgresFolders(): string[] {
  const all = '/usr/lib/postgresql';
  return existsSync(all) ? readdirSync(all).map((version) => join(all, version, 'bin')) : [];
}

export const GROUPS = {
  clients: [
    'dockerd',
    'docker',
    'containerd',
    'ctr',
    'skopeo',
    'podman',
    'buildah',
    'busybox',
    'crane',
    'curl',
    'cosign',
    'regctl',
    'helm',
  ],
  hosts: ['ip', 'skopeo', 'busybox', 'faketime'],
  package: ['npm', 'sh'],
  storage: [
    ...['mvn', 'javac', 'hadoop-java', 'python3', 'moto_server'],
    ...['versitygw', 'minio', 'fake-gcs-server', 'azurite-blob', 'docker-registry'],
    ...[
      'nginx',
      'mariadbd',
      'mariadb-install-db',
      'postgres',
      'initdb',
      'pg_isready',
      'pg_basebackup',
      'setpriv',
      'redis-server',
    ],
    ...['dockerd', 'docker', 'containerd', 'ctr', 'skopeo', 'busybox'],
  ],
  kube: ['helm'],
  disks: ['mkfs.ext4', 'losetup', 'mount', 'umount', 'sh'],
  chaos: ['ip', 'tc', 'iptables', 'faketime', 'mkfs.ext4', 'xfs_io'],
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
  if ('go' in source) return `GOBIN=${toolCache} go install ${source.go}`;
  if ('maven' in source) return `mvn copies its jars: npm run test:real -- --group storage --install`;
  if ('pip' in source)
    return pipInstall(source.pip, program)
      .map((step) => step.join(' '))
      .join(' && ');
  const [at, ...args] = npmInstall(source.npm);
  return `npm ${args.join(' ')} && ln -s ${binOf(at, program)} ${toolCache}/`;
}

/** Installs what is missing of these; throws with the installer's own words. Needs root for Debian packages. */
export async function install(programs: readonly string[]): Promise<void> {
  const sources = programs.map(sourceOf);
  const packages = [...new Set(sources.flatMap((source) => ('apt' in source ? [source.apt] : [])))];
  if (packages.length > 0) await installPackages(packages);
  for (const source of sources) if ('go' in source) await buildGo(source.go);
  for (const program of programs) {
    const source = sourceOf(program);
    if ('npm' in source) await installNpm(source.npm, program);
    if ('pip' in source) await installPip(source.pip, program);
    if ('maven' in source) await installMaven(source.maven, program);
  }
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

/** Into a folder of its own; linked last, so that what broke off is not found. Packages that run scripts run none. */
async function installNpm(spec: string, program: string): Promise<void> {
  const [at, ...args] = npmInstall(spec);
  await mkdir(at, { recursive: true });
  await mkdir(toolCache, { recursive: true });
  await run(need('npm'), args, { maxBuffer: 64 << 20 });
  await rm(join(toolCache, program), { force: true });
  await symlink(binOf(at, program), join(toolCache, program));
}

/** Into an environment of its own; linked last, as npm's. */
async function installPip(spec: string, program: string): Promise<void> {
  await mkdir(toolCache, { recursive: true });
  await rm(join(toolCache, program), { force: true });
  for (const [command = '', ...args] of pipInstall(spec, program))
    await run(find(command) ?? command, args, { maxBuffer: 64 << 20 });
}

function pipInstall(spec: string, program: string): string[][] {
  const at = join(cache, 'pip', spec);
  return [
    ['python3', '-m', 'venv', at],
    [join(at, 'bin/pip'), 'install', '-q', '--disable-pip-version-check', spec],
    ['ln', '-s', join(at, 'bin', program), join(toolCache, program)],
  ];
}

/** The jars into a folder of their own; the program that has them on its class path last, as npm's. */
async function installMaven(artifacts: readonly string[], program: string): Promise<void> {
  const at = join(cache, 'maven', program);
  await mkdir(at, { recursive: true });
  await mkdir(toolCache, { recursive: true });
  const dependencies = artifacts.map((artifact) => {
    const [group, name, version] = artifact.split(':');
    return `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`;
  });
  const own = '<groupId>shoal</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>';
  const pom = `<project><modelVersion>4.0.0</modelVersion>${own}<dependencies>${dependencies.join('')}</dependencies></project>`;
  await writeFile(join(at, 'pom.xml'), pom);
  const args = ['-q', '-B', '-f', join(at, 'pom.xml'), 'dependency:copy-dependencies', '-DoutputDirectory=jars'];
  await run(need('mvn'), args, { maxBuffer: 64 << 20 });
  const script = join(at, program);
  await writeFile(script, `#!/bin/sh\nexec java -cp '${join(at, 'jars')}/*' "$@"\n`);
  await chmod(script, 0o755);
  await rename(script, join(toolCache, program));
}

/** Where it goes, and what npm is told. */
function npmInstall(spec: string): [at: string, ...args: string[]] {
  const at = join(cache, 'npm', spec.replaceAll('/', '+'));
  return [at, 'install', '--prefix', at, '--ignore-scripts', '--no-audit', '--no-fund', '--no-save', spec];
}

function binOf(at: string, program: string): string {
  return join(at, 'node_modules', '.bin', program);
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

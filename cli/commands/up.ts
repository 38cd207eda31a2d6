/** `shoal up`: the whole cluster on this machine, until Ctrl-C. */

import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Env } from '../../platform/config/yaml.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { makeDirs } from '../../platform/lifecycle/make-dirs.ts';
import { alive } from '../cluster/alive.ts';
import { type ClusterCertificates, clusterCertificates } from '../cluster/certificates.ts';
import { clusterParts, url } from '../cluster/cluster.ts';
import { agentName, indexName, localCluster } from '../cluster/names.ts';
import { basePortDefault, type ClusterPorts, portsOf, requireFree } from '../cluster/ports.ts';
import type { PartEvent } from '../cluster/process.ts';
import { onStop } from '../cluster/stop-signal.ts';
import { indexStore, type StoreOfUp } from '../cluster/store.ts';
import { Supervisor } from '../cluster/supervisor.ts';
import { secondsText } from '../ui/format.ts';
import { triedOnline } from './role.ts';

export type UpOptions = {
  readonly agents: number;
  readonly indexes: number;
  /** What they share (cluster/store.ts). */
  readonly store?: string | undefined;
  readonly basePort: number;
  readonly dir?: string | undefined;
  readonly backends?: string | undefined;
  readonly secure?: boolean | undefined;
  readonly env: Env;
};

type Say = (line: string) => void;

/** Runs until it is told to stop; resolves when every part has ended. */
export async function up(options: UpOptions, say: Say): Promise<void> {
  const backends = options.backends === undefined ? undefined : fileAt(options.backends);
  const store = storeOf(options, backends);
  const ports = portsOf(options.basePort, options.agents, options.indexes);
  await requireFree(ports);
  const dir = resolve(options.dir ?? defaultDir(options.env));
  const unlock = lock(dir);
  try {
    const secure = options.secure === true ? await clusterCertificates(dir, localCluster, options) : undefined;
    const waves = clusterParts({ dir, ports, env: options.env, backends, store, secure });
    const supervisor = new Supervisor({ waves, onEvent: (event) => say(eventLine(event)) });
    using stop = onStop(() => {
      supervisor.end();
      unlock();
      process.exit(1);
    });
    say(`data, configuration and logs: ${dir}`);
    stop.first.addEventListener(
      'abort',
      () => say('stopping: transfers that are under way may finish; Ctrl-C again ends at once'),
      { once: true },
    );
    const stopped = new Promise<void>((done) => stop.first.addEventListener('abort', () => done(), { once: true }));
    const started = supervisor.start();
    started.catch(() => undefined);
    await Promise.race([started, stopped]);
    if (!stop.first.aborted) say(welcome(ports, secure));
    if (!stop.first.aborted && backends !== undefined) void sayBackends(dir, backends, { env: options.env, say });
    await stopped;
    await supervisor.stop();
  } finally {
    unlock();
  }
}

/** Tried by a process of its own, so that a backend that hangs keeps nothing here. */
async function sayBackends(
  dir: string,
  file: string,
  { env, say }: Pick<UpOptions, 'env'> & { say: Say },
): Promise<void> {
  const { right, said } = await triedOnline('origin', join(dir, 'config', 'origin.yaml'), env);
  if (right) say(`backends of ${file}:\n${said}`);
  else say(`backends of ${file}: not right; pushes are kept here until they are:\n${said}`);
}

/** Throws a StartError where so many indexes cannot have it. */
function storeOf({ indexes, store: named }: UpOptions, backends: string | undefined): StoreOfUp {
  const store = indexStore(named, backends);
  if (indexes === 1 || store.shared) return store;
  throw new StartError(
    `--indexes ${indexes}: SQLite, which holds what an index knows in a file of its own, is for one process: name with --store what several share, PostgreSQL or a bucket (docs/index.md)`,
  );
}

/** Its absolute path: the parts are started elsewhere. */
function fileAt(file: string): string {
  if (statSync(file, { throwIfNoEntry: false })?.isFile() === true) return resolve(file);
  throw new StartError(`--backends ${file}: there is no such file: write one with \`backends:\` (docs/storage.md)`);
}

function defaultDir(env: Env): string {
  return join(env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share'), 'shoal');
}

/** One cluster a directory: a second would write into the first one's stores. */
function lock(dir: string): () => void {
  const file = join(dir, 'up.pid');
  try {
    makeDirs(dir);
  } catch (error) {
    throw new StartError(
      `directory ${dir} cannot be created (${(error as NodeJS.ErrnoException).code}): choose another with --dir`,
    );
  }
  const pid = Number(readIfThere(file));
  if (Number.isInteger(pid) && pid > 0 && alive(pid)) {
    throw new StartError(
      `${dir} is in use by process ${pid}: stop that, or choose another with --dir (if it is no shoal, remove ${file})`,
    );
  }
  writeFileSync(file, `${process.pid}\n`);
  return () => rmSync(file, { force: true });
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** One line an event. */
export function eventLine(event: PartEvent): string {
  const name = event.part.padEnd(9);
  switch (event.kind) {
    case 'ready':
      return `${name} ready${event.again ? ' again' : ''} after ${secondsText(event.ms)} (pid ${event.pid})`;
    case 'died':
      return `${name} died (${event.why}): starting again in ${secondsText(event.retryMs)}`;
    case 'stopped':
      return `${name} stopped (${event.why})`;
  }
}

function welcome(ports: ClusterPorts, secure: ClusterCertificates | undefined): string {
  const first = ports.agents[0];
  const lines = [
    '',
    `proxy     ${url(ports.proxy)}   push, pull, list, delete`,
    `origin    ${url(ports.origin)}   (peers: ${ports.originPeer})`,
    `tracker   ${url(ports.tracker)}`,
    ...ports.indexes.map((port, i) => `${indexName(i).padEnd(9)} ${url(port)}`),
    ...ports.agents.map(
      (agent, i) =>
        `${agentName(i).padEnd(9)} ${url(agent.registry)}   (peers: ${agent.peer}, admin: ${url(agent.admin)})`,
    ),
    '',
    'push once, pull on every host:',
    `  docker tag app:1 localhost:${ports.proxy}/library/app:1`,
    `  docker push localhost:${ports.proxy}/library/app:1`,
    ...(first === undefined ? [] : [`  docker pull localhost:${first.registry}/library/app:1`]),
    ...(ports.proxy === basePortDefault
      ? []
      : ['', 'and for shoal put, get, ls, rm, status, origin, reconcile, import:', exports(ports)]),
    '',
    ...(secure === undefined
      ? []
      : [
          'every part asks for a certificate; for shoal status, origin, index, replicate, reconcile, import:',
          `  export SHOAL_TLS=${secure.operator}`,
          '',
        ]),
    'Ctrl-C stops everything',
  ];
  return lines.join('\n');
}

/** Where the commands find a cluster that is not on the default ports. */
function exports({ proxy, origin, indexes: [index = 0], agents: [agent] }: ClusterPorts): string {
  const at = { PROXY: proxy, ORIGIN: origin, INDEX: index, ...(agent === undefined ? {} : { AGENT: agent.registry }) };
  return `  export ${Object.entries(at)
    .map(([name, port]) => `SHOAL_${name}=${url(port)}`)
    .join(' ')}`;
}

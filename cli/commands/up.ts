/** `shoal up`: the whole cluster on this machine, until Ctrl-C. */

import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Env } from '../../platform/config/yaml.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { makeDirs } from '../../platform/lifecycle/make-dirs.ts';
import { alive } from '../cluster/alive.ts';
import { agentName, clusterParts, url } from '../cluster/cluster.ts';
import { type ClusterPorts, portsOf, requireFree } from '../cluster/ports.ts';
import type { PartEvent } from '../cluster/process.ts';
import { onStop } from '../cluster/stop-signal.ts';
import { Supervisor } from '../cluster/supervisor.ts';
import { secondsText } from '../ui/format.ts';

export type UpOptions = {
  readonly agents: number;
  readonly basePort: number;
  readonly dir?: string | undefined;
  readonly backends?: string | undefined;
  readonly env: Env;
};

/** Runs until it is told to stop; resolves when every part has ended. */
export async function up(options: UpOptions, say: (line: string) => void): Promise<void> {
  const ports = portsOf(options.basePort, options.agents);
  await requireFree(ports);
  const dir = resolve(options.dir ?? defaultDir(options.env));
  const unlock = lock(dir);
  try {
    const backends = options.backends === undefined ? undefined : fileAt(options.backends);
    const waves = clusterParts({ dir, ports, env: options.env, backends });
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
    if (!stop.first.aborted) say(welcome(ports));
    await stopped;
    await supervisor.stop();
  } finally {
    unlock();
  }
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

function welcome(ports: ClusterPorts): string {
  const first = ports.agents[0];
  const lines = [
    '',
    `proxy     ${url(ports.proxy)}   push, pull, list, delete`,
    `origin    ${url(ports.origin)}   (peers: ${ports.originPeer})`,
    `tracker   ${url(ports.tracker)}`,
    `index     ${url(ports.index)}`,
    ...ports.agents.map(
      (agent, i) =>
        `${agentName(i).padEnd(9)} ${url(agent.registry)}   (peers: ${agent.peer}, admin: ${url(agent.admin)})`,
    ),
    '',
    'push once, pull on every host:',
    `  docker tag app:1 localhost:${ports.proxy}/library/app:1`,
    `  docker push localhost:${ports.proxy}/library/app:1`,
    ...(first === undefined ? [] : [`  docker pull localhost:${first.registry}/library/app:1`]),
    '',
    'Ctrl-C stops everything',
  ];
  return lines.join('\n');
}

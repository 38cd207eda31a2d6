/**
 * A whole cluster on this machine, as parts for the supervisor: one origin, tracker and proxy, indexes, and agents,
 * each with its own data directory and a configuration file that anyone can read, change and run by hand.
 */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Role } from '../../platform/config/common.ts';
import { entryUrl } from '../../platform/lifecycle/entry.ts';
import { launchEnv, launchFlags } from '../../platform/lifecycle/launch.ts';
import type { ClusterCertificates } from './certificates.ts';
import { agentName, indexName, localCluster } from './names.ts';
import type { AgentPorts, ClusterPorts } from './ports.ts';
import type { PartSpec } from './process.ts';
import { indexStore, type StoreOfUp } from './store.ts';

/** The arena of an agent or origin on a shared machine; a role elsewhere has more by default. */
const arena = '32MiB';

export type ClusterOptions = {
  readonly dir: string;
  readonly ports: ClusterPorts;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logLevel?: string | undefined;
  /** A configuration file with `backends:`, which origin and indexes extend. */
  readonly backends?: string | undefined;
  /** Default: SQLite, for one index. */
  readonly store?: StoreOfUp | undefined;
  /** Every part shows a certificate, and asks for one. */
  readonly secure?: ClusterCertificates | undefined;
};

export const url = (port: number): string => `http://127.0.0.1:${port}`;

/** Writes the configuration files below `dir` and returns the parts, in waves (what the next ones lean on first). */
export function clusterParts(options: ClusterOptions): PartSpec[][] {
  const { ports, backends, store = indexStore(undefined, backends) } = options;
  const part = (role: Role, name: string, config: Record<string, unknown>, probe: number) =>
    partSpec(options, { role, name, config, probe: url(probe) });
  const both = (port: number) => ({ host: 'localhost', port });
  const peer = (port: number) => ({ host: '127.0.0.1', port, advertise: '127.0.0.1' });
  const trackers = [url(ports.tracker)];
  const index = ports.indexes.map(url);
  const origins = [url(ports.origin)];
  const memory = { arena };
  const backed = backends === undefined ? {} : { extends: backends };
  return [
    [
      part('tracker', 'tracker', { listen: both(ports.tracker), origins }, ports.tracker),
      ...ports.indexes.map((port, i) =>
        part('index', indexName(i), { listen: both(port), data: true, origins, ...store.config }, port),
      ),
    ],
    [
      part(
        'origin',
        'origin',
        {
          listen: both(ports.origin),
          peer: peer(ports.originPeer),
          data: true,
          memory,
          trackers,
          index,
          origins,
          ...backed,
        },
        ports.origin,
      ),
    ],
    [
      part('proxy', 'proxy', { listen: both(ports.proxy), index, origins }, ports.proxy),
      ...ports.agents.map((agent: AgentPorts, i) => {
        const listen = { listen: both(agent.registry), admin: both(agent.admin), peer: peer(agent.peer) };
        const proxy = url(ports.proxy);
        return part('agent', agentName(i), { ...listen, data: true, memory, trackers, index, proxy }, agent.admin);
      }),
    ],
  ];
}

/** A store's URL may have a password in it. */
const ownerOnly = { mode: 0o600 };

type PartPlan = { role: Role; name: string; config: Record<string, unknown>; probe: string };

function partSpec(options: ClusterOptions, plan: PartPlan): PartSpec {
  const { role, name, config } = plan;
  const file = join(options.dir, 'config', `${name}.yaml`);
  const data = config['data'] === true ? { data: join(options.dir, 'data', name) } : {};
  const log = { level: options.logLevel ?? 'info' };
  const { secure } = options;
  const tls = secure === undefined ? {} : { tls: secure.filesOf(name) };
  mkdirSync(join(options.dir, 'config'), { recursive: true });
  writeFileSync(
    file,
    `# Written by shoal at each start: changes are lost.\n${stringify({ role, name, cluster: localCluster, log, ...config, ...data, ...tls })}`,
    ownerOnly,
  );
  // One of a release before was everybody's to read.
  chmodSync(file, ownerOnly.mode);
  return {
    name,
    entry: entryUrl(`../../${role}/main.ts`, import.meta.url),
    args: ['--config', file],
    // Eight processes share this machine, and none of its trackers has many leases.
    execArgv: launchFlags('small'),
    env: { ...launchEnv(join(options.dir, 'cache')), ...options.env },
    logFile: join(options.dir, 'logs', `${name}.log`),
    probe: plan.probe,
    transport: secure?.transport,
  };
}

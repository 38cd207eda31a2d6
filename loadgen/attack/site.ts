/** A cluster of real processes, each with a port that is attacked. */

import { AGENT } from '../../core/contracts/agent.ts';
import { INDEX } from '../../core/contracts/index-api.ts';
import { KRAKEN_PROXY } from '../../core/contracts/kraken/proxy.ts';
import { MEMBERS } from '../../core/contracts/members.ts';
import { ORIGIN } from '../../core/contracts/origin.ts';
import { PROBES } from '../../core/contracts/probes.ts';
import { TRACKER } from '../../core/contracts/tracker.ts';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import { RoleProcess } from '../../harness/roles.ts';
import type { Role } from '../../platform/config/common.ts';
import { freePort } from '../../platform/testing/ports.ts';
import type { Target } from './target.ts';

const loopback = (port = 0) => ({ host: '127.0.0.1', port });
const url = (port: number | undefined): string => `http://127.0.0.1:${port}`;

export type Site = {
  readonly processes: Readonly<Record<Role, RoleProcess>>;
  readonly targets: readonly Target[];
  /** Base URLs. */
  readonly at: Readonly<Record<'tracker' | 'index' | 'origin' | 'proxy' | 'agent' | 'admin', string>>;
};

/** All of it ends with the stack. */
export async function startSite(stack: AsyncDisposableStack, dir: string): Promise<Site> {
  const log = { level: 'warn' };
  const origins = [url(await freePort())];
  const start = async (role: Role, config: object): Promise<RoleProcess> =>
    stack.use(await RoleProcess.start({ role, name: role, dir, config: { log, ...config } }));
  const tracker = await start('tracker', { listen: loopback(), origins });
  const index = await start('index', { listen: loopback() });
  const calls = { trackers: [url(tracker.ports['api'])], index: [url(index.ports['api'])] };
  const origin = await start('origin', {
    ...{ ...calls, origins, listen: loopback(Number(new URL(origins[0] as string).port)), peer: loopback() },
    memory: { arena: '32MiB' },
  });
  const proxy = await start('proxy', {
    ...{ index: calls.index, origins, listen: loopback(), admin: loopback(), push: { copies: 1, required: 1 } },
  });
  const agent = await start('agent', {
    ...{ ...calls, listen: loopback(), admin: loopback(), peer: loopback(), memory: { arena: '32MiB' } },
  });
  const processes = { tracker, index, origin, proxy, agent };
  const at = {
    tracker: url(tracker.ports['api']),
    index: url(index.ports['api']),
    origin: url(origin.ports['api']),
    proxy: url(proxy.ports['registry']),
    agent: url(agent.ports['registry']),
    admin: url(agent.ports['admin']),
  };
  return { processes, at, targets: targetsOf(processes) };
}

/** A POST, and a GET, of each port. */
const ASKED: Readonly<Record<string, readonly [post: string, get: string]>> = {
  'tracker api': [TRACKER.announce.path({}), PROBES.health.path({})],
  'index api': [INDEX.unlinked.path({}), INDEX.tag.path({ name: 'app', tag: 'latest' })],
  'origin api': [ORIGIN.infos.path({}), ORIGIN.identity.path({})],
  'proxy registry': [KRAKEN_PROXY.notify.path({}), OCI_PATHS.manifest('app', 'latest')],
  'proxy admin': [MEMBERS.status.path({}), PROBES.metrics.path({})],
  'agent registry': [OCI_PATHS.uploads('app'), OCI_PATHS.manifest('app', 'latest')],
  'agent admin': [MEMBERS.status.path({}), AGENT.status.path({})],
};

function targetsOf(processes: Site['processes']): Target[] {
  return Object.entries(processes).flatMap(([role, { ports }]) =>
    Object.entries(ports).map(([port, number]): Target => {
      const name = `${role} ${port}`;
      const [post, get] = ASKED[name] ?? ['', ''];
      return { name, role: role as Role, kind: port === 'peer' ? 'peer' : 'http', port: number, post, get };
    }),
  );
}

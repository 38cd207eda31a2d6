/**
 * Who may call what, where processes show certificates: each route of each port, by the role of its caller.
 *
 * Rule 1: a route without an entry is nobody's. The types see to it that every route of an interface has one, and a door
 *         that serves another does not open.
 * Rule 2: what changes tags, or tells of metainfo, or takes blobs away, is for those roles whose work that is.
 */

import { AGENT, KRAKEN } from '../contracts/agent.ts';
import { DOCUMENTS } from '../contracts/documents/documents.ts';
import { DRAIN } from '../contracts/drain.ts';
import { INDEX_GC, ORIGIN_GC } from '../contracts/gc/routes.ts';
import { INDEX } from '../contracts/index-api.ts';
import { KRAKEN_INDEX } from '../contracts/kraken/index.ts';
import { KRAKEN_PROXY } from '../contracts/kraken/proxy.ts';
import { KRAKEN_HOST } from '../contracts/kraken/scheduler.ts';
import { KRAKEN_ORIGIN } from '../contracts/kraken-origin.ts';
import { MEMBERS } from '../contracts/members.ts';
import { ORIGIN } from '../contracts/origin.ts';
import { ORIGIN_ADMIN } from '../contracts/origin-admin.ts';
import { REPAIR } from '../contracts/origin-repair.ts';
import { PINS } from '../contracts/pins.ts';
import { PROBES } from '../contracts/probes.ts';
import { QUEUE } from '../contracts/queue.ts';
import { QUOTAS } from '../contracts/quota/routes.ts';
import { REPLICATE } from '../contracts/replicate/api.ts';
import type { Method } from '../contracts/route.ts';
import { TRACKER } from '../contracts/tracker.ts';
import { VOLUMES } from '../contracts/volumes.ts';
import { OCI_PATHS } from '../oci/paths.ts';
import { CALLER_ROLES, type CallerRole } from './identity.ts';

/** What a process listens on. `agent` is an agent's admin port, `registry` the one for container runtimes. */
export const HTTP_PORTS = ['agent', 'registry', 'origin', 'tracker', 'index', 'proxy'] as const;
export type HttpPort = (typeof HTTP_PORTS)[number];

/** Whoever reaches the port, without a certificate; or these roles. */
export type May = 'anyone' | readonly CallerRole[];
type Asked = { readonly method: Method; readonly pattern: string };
type Routes<K extends string> = Readonly<Record<K, Asked>>;
type Entry = readonly [route: Asked, may: May];

const ADMIN = ['admin'] as const;
const COMPONENTS = CALLER_ROLES.filter((role) => role !== 'monitor');

/** One rule a route, none left out. */
function of<K extends string>(routes: Routes<K>, may: Readonly<Record<K, May>>): Entry[] {
  return Object.entries<Asked>(routes).map(([name, route]) => [route, may[name as K]]);
}

/** The same rule for all of them. */
function all<K extends string>(routes: Routes<K>, may: May): Entry[] {
  return Object.values<Asked>(routes).map((route) => [route, may]);
}

const probes = of(PROBES, { health: 'anyone', readiness: 'anyone', metrics: CALLER_ROLES });
const operating = [...all(VOLUMES, ADMIN), ...all(MEMBERS, ADMIN), ...all(PINS, ADMIN)];
const queue = all(QUEUE, ADMIN);

const origin = of(ORIGIN, {
  read: ['proxy', 'origin', 'index', 'admin'],
  head: ['proxy', 'origin', 'index', 'admin'],
  remove: ADMIN,
  prove: ['proxy', 'index'],
  writeBack: ['origin'],
  // Agents ask where no tracker answers.
  info: ['agent', 'tracker', 'proxy', 'origin', 'index', 'admin'],
  infos: ['agent', 'tracker', 'proxy', 'origin', 'index', 'admin'],
  fetch: ['proxy', 'origin', 'index'],
  identity: COMPONENTS,
  begin: ['proxy', 'index'],
  upload: ['proxy', 'index'],
  cancel: ['proxy', 'index'],
  append: ['proxy', 'index'],
  commit: ['proxy', 'index'],
});

const repair = of(REPAIR, {
  sums: ['origin'],
  shared: ['origin'],
  offer: ['origin'],
  state: ADMIN,
  page: ADMIN,
  now: ADMIN,
});

const reading = ['agent', 'proxy', 'origin', 'index', 'admin'] as const;
const writing = ['proxy', 'index'] as const;
const index = of(INDEX, {
  tag: reading,
  tags: reading,
  manifest: reading,
  referrers: reading,
  blob: reading,
  catalog: reading,
  putTag: writing,
  // `shoal index move` asks so whether an index takes writes.
  deleteTag: [...writing, 'admin'],
  deleteTagAt: writing,
  deleteTagAs: writing,
  putManifest: writing,
  deleteManifest: writing,
  deleteManifestAs: writing,
  linkBlob: writing,
  unlinkBlob: writing,
  mount: writing,
  holders: ['origin', 'admin'],
  condemn: ['origin'],
  // A proxy asks so which cluster it is of.
  unlinked: ['origin', 'proxy'],
  replicas: ['origin', 'proxy'],
  replicaRules: ['origin', 'proxy', 'admin'],
  reconcile: ADMIN,
  trust: ADMIN,
});

/** What all go by is read by all; what passwords are compared with, by who compares them. */
const documents = [
  ...of(DOCUMENTS.access, { read: ['proxy', 'admin'], put: ADMIN }),
  // A private key.
  ...of(DOCUMENTS['access-key'], { read: ['proxy'], put: ['proxy'] }),
  // Made of both, without secrets.
  ...of(DOCUMENTS['access-public'], { read: ['agent', 'proxy', 'admin'], put: ['proxy'] }),
  ...of(DOCUMENTS.blocks, { read: COMPONENTS, put: ADMIN }),
];

const indexGc = of(INDEX_GC, { rules: ['origin', 'admin'], condemn: ['origin'], useless: ['origin'], step: ADMIN });

const tracker = of(TRACKER, {
  // For itself only: core/access/announce.ts.
  announce: ['agent', 'origin'],
  leave: ['agent', 'origin'],
  locate: ['agent', 'origin', 'proxy', 'index', 'admin'],
});

/** A proxy is told by its users what to prefetch. */
const { prefetch, ...KRAKEN_OF_ORIGIN } = KRAKEN_ORIGIN;
const PREFETCH = { prefetch };

/** Their own callers, users, are another matter: platform/access. */
const registry: Entry[] = (['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const).flatMap((method) =>
  [OCI_PATHS.base.slice(0, -1), OCI_PATHS.base, `${OCI_PATHS.base}*`].map(
    (pattern): Entry => [{ method, pattern }, 'anyone'],
  ),
);

const tokens: Entry[] = (['GET', 'POST'] as const).map((method) => [{ method, pattern: OCI_PATHS.token }, 'anyone']);

export const ACCESS: Readonly<Record<HttpPort, readonly Entry[]>> = {
  agent: [...probes, ...all(AGENT, ADMIN), ...all(KRAKEN, ADMIN), ...all(KRAKEN_HOST, ADMIN), ...operating],
  registry: [...probes, ...registry],
  origin: [
    ...probes,
    ...origin,
    ...repair,
    ...all(ORIGIN_ADMIN, ADMIN),
    ...all(DRAIN, ADMIN),
    ...all(ORIGIN_GC, ADMIN),
    ...all(PREFETCH, [...ADMIN, 'proxy']),
    ...all(KRAKEN_OF_ORIGIN, ADMIN),
    ...all(KRAKEN_HOST, ADMIN),
    ...operating,
    ...queue,
  ],
  tracker: [...probes, ...tracker, ...all(MEMBERS, ADMIN)],
  index: [
    ...probes,
    ...index,
    ...indexGc,
    ...documents,
    ...all(KRAKEN_INDEX, ADMIN),
    ...all(REPLICATE, ADMIN),
    ...of(QUOTAS, { rules: ['proxy', 'admin'], used: ADMIN, room: ['proxy', 'admin'] }),
    ...all(MEMBERS, ADMIN),
    ...queue,
  ],
  // Registries that tell of pushes have no certificate of ours; what they ask for is looked up before it costs anything.
  proxy: [...probes, ...registry, ...tokens, ...all(KRAKEN_PROXY, 'anyone'), ...all(MEMBERS, ADMIN)],
};

const known = new Map<string, May>();
for (const port of HTTP_PORTS)
  for (const [{ method, pattern }, may] of ACCESS[port]) known.set(`${port} ${method} ${pattern}`, may);

/** Who may call what a port serves under that pattern; undefined: it is not in the table. */
export function mayCall(port: HttpPort, method: string, pattern: string): May | undefined {
  return known.get(`${port} ${method} ${pattern}`);
}

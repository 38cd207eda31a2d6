/** A request and an answer of every route, for tests: as a caller sends it, as a server answers. */

import { testDigest, testGrowth, testMeta, testPeer } from '../handout/fixtures.ts';
import { AGENT, KRAKEN } from './agent.ts';
import { documentExamples as documents } from './documents/documents.fixtures.ts';
import { type AnyExample as Any, example } from './example.fixtures.ts';
import { gcExamples as gc } from './gc/routes.fixtures.ts';
import { hostExamples as host } from './host.fixtures.ts';
import { INDEX, type TagVersion } from './index-api.ts';
import {
  krakenHostExamples as krakenHost,
  krakenIndexExamples as krakenIndex,
  krakenProxyExamples as krakenProxy,
} from './kraken/routes.fixtures.ts';
import { KRAKEN_ORIGIN } from './kraken-origin.ts';
import { MEMBERS } from './members.ts';
import { ORIGIN } from './origin.ts';
import { ORIGIN_ADMIN } from './origin-admin.ts';
import { probesExamples as probes } from './probes.fixtures.ts';
import { QUEUE } from './queue.ts';
import { drainExamples as drain, repairExamples as repair } from './repair.fixtures.ts';
import { replicateExamples as replicate } from './replicate/replicate.fixtures.ts';
import { TRACKER } from './tracker.ts';

const [one, two] = [testDigest(1), testDigest(2)];
const sha512 = `sha512:${'0f'.repeat(64)}` as typeof one;
const name = 'library/a--b/c.d_e__f';
const version = `12-${'0f'.repeat(16)}` as TagVersion;
const record = { digest: one, mediaType: 'application/vnd.oci.image.manifest.v1+json', size: 500 };
const said = { index: '0f'.repeat(16), succeeds: { of: ['1f'.repeat(16)], trusted: false } };

const index: Readonly<Record<keyof typeof INDEX, Any>> = {
  tag: example(INDEX.tag, { name, tag: 'V1.0-x_y' }, { reply: { ...record, version } }),
  putTag: example(
    INDEX.putTag,
    { name, tag: '__proto__', write: '0f'.repeat(16), again: true },
    { body: { digest: sha512, after: version }, reply: { version } },
  ),
  deleteTag: example(INDEX.deleteTag, { name, tag: 'latest' }, { reply: { version } }),
  deleteTagAt: example(INDEX.deleteTagAt, { name, tag: 'latest', version }, { reply: { version } }),
  deleteTagAs: example(INDEX.deleteTagAs, { name, tag: 'latest', version }, { reply: { version, kept: true } }),
  tags: example(INDEX.tags, { name, n: 3, last: 'a b&c=%/ä' }, { reply: { tags: ['1', 'latest'], more: true } }),
  manifest: example(INDEX.manifest, { name, digest: sha512 }, { reply: record }),
  putManifest: example(
    INDEX.putManifest,
    { name, digest: one },
    {
      body: {
        mediaType: record.mediaType,
        size: 500,
        ...{ tags: ['1', 'latest'], blobs: [one, two], manifests: [sha512], subject: two },
        artifactType: 'application/x.sbom',
        annotations: { 'org.example': 'ä "quoted"' },
        proof: 7,
        after: null,
      },
      reply: { version },
    },
  ),
  deleteManifest: example(INDEX.deleteManifest, { name, digest: one }),
  deleteManifestAs: example(INDEX.deleteManifestAs, { name, digest: one, version }),
  referrers: example(
    INDEX.referrers,
    { name, digest: one, n: 1, artifactType: 'a/b+json' },
    { reply: { manifests: [record, { ...record, artifactType: 'a/b', annotations: { k: 'v' } }], more: false } },
  ),
  blob: example(INDEX.blob, { name, digest: one }, { reply: { digest: one, size: 9 } }),
  linkBlob: example(INDEX.linkBlob, { name, digest: one }, { body: { size: 9, proof: 0 } }),
  unlinkBlob: example(INDEX.unlinkBlob, { name, digest: one }),
  mount: example(INDEX.mount, { name, digest: one }, { body: { from: 'other/x' }, reply: { digest: one, size: 9 } }),
  holders: example(
    INDEX.holders,
    { digest: one, n: 10_000, last: name },
    { reply: { repositories: ['a', name], more: false } },
  ),
  catalog: example(INDEX.catalog, { n: 10_000, last: name }, { reply: { repositories: ['a', name], more: false } }),
  condemn: example(
    INDEX.condemn,
    {},
    { body: { digests: [one, sha512] }, reply: { ...said, condemned: [one], waiting: 1 } },
  ),
  unlinked: example(INDEX.unlinked, {}, { body: { digests: [one, sha512] }, reply: { ...said, unlinked: [sha512] } }),
  trust: example(INDEX.trust, {}, { body: {}, reply: { of: ['1f'.repeat(16)], trusted: false } }),
  replicas: example(INDEX.replicas, {}, { body: { digests: [one, sha512] }, reply: { replicas: [3, 0] } }),
  replicaRules: example(
    INDEX.replicaRules,
    {},
    { reply: { default: 2, rules: [{ repositories: ['prod/**', 'a/*'], replicas: 3 }] } },
  ),
  reconcile: example(
    INDEX.reconcile,
    {},
    {
      body: { apply: true, repositories: 'library/**', from: 'main:docker/registry', keys: 500 },
      reply: {
        looked: 3,
        changes: [
          { kind: 'tag', repo: name, name: 'latest', how: 'moved', digest: one },
          { kind: 'tag', repo: name, name: 'gone', how: 'removed', digest: null },
        ],
        broken: [{ kind: 'manifest', repo: name, name: two, why: 'is not there' }],
        next: 'main:docker/registry/v2',
      },
      lenient: ['repo', 'name'],
    },
  ),
};

const agent = { ...testPeer(1), host: 'fe80::1%eth0', zone: 'a b' };
const origin = testPeer(2, 'origin');
const meta = testMeta(5);
const growth = testGrowth(3);
const inline = 'aGVsbG8=';

const tracker: Readonly<Record<keyof typeof TRACKER, Any>> = {
  announce: example(
    TRACKER.announce,
    {},
    {
      body: {
        self: agent,
        entries: [
          { digest: one, state: 'want', seek: 8, repo: name },
          { digest: two, state: 'have', seek: 0, meta },
          { digest: sha512, state: 'gone', seek: 0 },
          { digest: one, state: 'want', seek: 0, known: 0 },
          { digest: two, state: 'want', seek: 0, known: 1 << 20 },
        ],
        held: 2,
        reset: true,
        toldAs: 'b5d4',
      },
      reply: {
        leaseMs: 30_000,
        intervalMs: 10_000,
        resync: true,
        origins: ['http://10.0.0.2:15002', 'https://origin-1.shoal.svc:15002/api', 'http://[fe80::1]:1'],
        toldAs: 'b5d4',
        places: [{ id: origin.node, url: 'http://10.0.0.2:15002', weight: 1.5 }],
        answers: [
          { digest: one, peers: [agent, origin], meta, inline },
          { digest: two, peers: [], error: 'unknown' },
          { digest: sha512, peers: [origin], growth },
        ],
      },
      lenient: ['reset', 'resync'],
    },
  ),
  leave: example(TRACKER.leave, {}, { body: { node: agent.node } }),
  locate: example(
    TRACKER.locate,
    { digest: one, repo: name, growing: 1 },
    { reply: { digest: one, meta, inline }, lenient: ['?growing'] },
  ),
};

const info = { digest: one, meta, inline, peer: origin };
const id = '0123456789ab-0123456789abcdef';

const ofOrigin: Readonly<Record<keyof typeof ORIGIN, Any>> = {
  read: example(ORIGIN.read, { digest: one, repo: name }),
  head: example(ORIGIN.head, { digest: one, repo: name }),
  remove: example(ORIGIN.remove, { digest: one }),
  prove: example(ORIGIN.prove, { digest: one, repo: name }, { reply: { state: 'held' } }),
  writeBack: example(
    ORIGIN.writeBack,
    { digest: one, repo: name },
    { reply: { state: 'queued', progress: 7, failing: 'main: down' } },
  ),
  info: example(
    ORIGIN.info,
    { digest: one, proof: 'sample', repo: name, growing: 1, cold: 'stat', hops: 1 },
    { reply: info, lenient: ['?proof', '?growing', '?cold'] },
  ),
  infos: example(
    ORIGIN.infos,
    { proof: 'sample', repo: 'a', growing: 1, cold: 'stat' },
    {
      body: { digests: [one, sha512, two] },
      reply: {
        infos: [
          info,
          null,
          { error: { code: 'UNAVAILABLE', message: 'is being fetched' } },
          { digest: two, growth, peer: origin },
        ],
      },
      lenient: ['?proof', '?growing', '?cold', 'infos'],
    },
  ),
  fetch: example(
    ORIGIN.fetch,
    { digest: one },
    { body: { from: origin, meta, owed: [name, ''] }, reply: { state: 'fetching' } },
  ),
  identity: example(
    ORIGIN.identity,
    { told: 1 },
    {
      reply: {
        ...{ id: origin.node, instance: agent.node, weight: 2, draining: true, zone: 'a' },
        members: [{ id: 'http://10.0.0.3:15002', url: 'http://10.0.0.3:15002', weight: 1 }],
      },
      lenient: ['?told'],
    },
  ),
  begin: example(ORIGIN.begin, { id }, { body: { algorithm: 'sha512' }, reply: { id, offset: 0 } }),
  upload: example(ORIGIN.upload, { id }, { reply: { id, offset: 2 ** 40 } }),
  cancel: example(ORIGIN.cancel, { id }),
  append: example(ORIGIN.append, { id, offset: 2 ** 40 }, { reply: { id, offset: 7 } }),
  commit: example(ORIGIN.commit, { id, digest: sha512, repo: name }, { reply: info }),
};

const members: Readonly<Record<keyof typeof MEMBERS, Any>> = {
  status: example(
    MEMBERS.status,
    {},
    {
      reply: {
        lists: [
          {
            role: 'origins',
            self: agent.node,
            members: [
              { url: 'http://10.0.0.2:1', id: origin.node, weight: 2, up: true, latencyMs: 1.5, draining: true },
              { id: agent.node, weight: 1, up: true, self: true },
              { url: 'http://10.0.0.3:1', up: false },
            ],
            doubles: [{ id: origin.node, urls: ['http://10.0.0.2:1', 'this process'] }],
          },
        ],
      },
    },
  ),
};

const inStore = { digest: one, size: 5, state: 'damaged' } as const;
const originAdmin: Readonly<Record<keyof typeof ORIGIN_ADMIN, Any>> = {
  list: example(ORIGIN_ADMIN.list, { n: 7, last: two }, { reply: { blobs: [inStore], more: true } }),
  status: example(
    ORIGIN_ADMIN.status,
    { digest: one },
    {
      reply: {
        ...inStore,
        pieceLength: 2 ** 18,
        pieces: 3,
        held: 2,
        inUse: false,
        owners: ['http://origin:1'],
        unwritten: [{ backend: 'main', cause: 'denied', message: 'no', dead: true }],
      },
    },
  ),
  verify: example(ORIGIN_ADMIN.verify, { digest: one }, { reply: { result: 'decayed', why: 'a piece' } }),
  evict: example(
    ORIGIN_ADMIN.evict,
    {},
    {
      body: { digests: [one], toBytes: 5, toPercent: 70 },
      reply: { evicted: [one], usedBytes: 1, budgetBytes: 2, done: false, why: 'in use' },
    },
  ),
};

const queued = {
  ...{ key: `main ${one}`, lane: 'main', about: one, bytes: 5, addedMs: 1, dueMs: 2 },
  ...{ attempts: 3, cause: 'denied', message: 'no', dead: true },
};
const queue: Readonly<Record<keyof typeof QUEUE, Any>> = {
  list: example(QUEUE.list, { n: 5, after: 7, lane: 'main', dead: true }, { reply: { rows: [queued], next: 8 } }),
  lanes: example(
    QUEUE.lanes,
    {},
    {
      reply: {
        lanes: [
          { lane: 'main', waiting: 1, bytes: 5, dead: 1, lost: 2, oldestMs: 3, causes: [{ cause: 'denied', rows: 1 }] },
        ],
      },
    },
  ),
  retry: example(QUEUE.retry, {}, { body: { key: 'main' }, reply: { rows: 1 } }),
  drop: example(QUEUE.drop, {}, { body: {}, reply: { rows: 0 } }),
};

const moved = { digest: one, bytesFromPeers: 3, bytesFromOrigins: 2, ms: 1.5, kept: true };

const ofAgent: Readonly<Record<keyof typeof AGENT, Any>> = {
  status: example(
    AGENT.status,
    {},
    {
      reply: {
        role: 'agent',
        self: agent,
        cluster: 'c',
        peer: {
          links: { dialled: 1, accepted: 2 },
          blobs: 3,
          peers: [{ address: { ...origin, host: '', port: 0 }, dialled: false }],
        },
        cache: { blobs: 1, complete: 1, bytes: 5, budgetBytes: 9, passing: 0, passingBytes: 0 },
        running: [{ ...moved, users: 1 }],
        finished: [{ ...moved, bytes: 5, firstByteMs: 0.5 }],
        finishedTotal: 1,
      },
    },
  ),
  blobs: example(AGENT.blobs, {}, { reply: { blobs: [{ digest: one, size: 5, complete: false, share: 0.5 }] } }),
  remove: example(AGENT.remove, { digest: one }),
  read: example(AGENT.read, { digest: one }),
  head: example(AGENT.head, { digest: sha512 }),
};

const kraken: Readonly<Record<keyof typeof KRAKEN, Any>> = {
  read: example(KRAKEN.read, { ns: 'library/x', digest: one }),
  head: example(KRAKEN.head, { ns: '.*', digest: one }),
  remove: example(KRAKEN.remove, { digest: one }),
  tag: example(KRAKEN.tag, { tag: 'library/x:1' }),
  preload: example(KRAKEN.preload, { tag: 'library/x:1', runtime: 'containerd', namespace: 'k8s.io' }),
};

const ns = 'library/x';
const uid = '0123abcd-0123-4567-89ab-0123456789ab';
const krakenOrigin: Readonly<Record<keyof typeof KRAKEN_ORIGIN, Any>> = {
  locations: example(KRAKEN_ORIGIN.locations, { digest: one }),
  begin: example(KRAKEN_ORIGIN.begin, { ns, digest: one, size: 5 }),
  append: example(KRAKEN_ORIGIN.append, { ns, digest: one, uid }),
  commit: example(KRAKEN_ORIGIN.commit, { ns, digest: one, uid }),
  read: example(KRAKEN_ORIGIN.read, { ns: '.*', digest: one }),
  prefetch: example(KRAKEN_ORIGIN.prefetch, { ns, digest: one }),
  remote: example(KRAKEN_ORIGIN.remote, { ns, digest: one, remote: 'other-cluster:80' }),
  stat: example(KRAKEN_ORIGIN.stat, { ns, digest: one, local: true }),
  metainfo: example(
    KRAKEN_ORIGIN.metainfo,
    { ns, digest: one },
    { reply: { Info: { PieceLength: 2 ** 22, PieceSums: [1, 2], Name: 'x', Length: 5 } } },
  ),
  remove: example(KRAKEN_ORIGIN.remove, { digest: one }),
  cleanup: example(KRAKEN_ORIGIN.cleanup, { ttl_hr: 24 }),
  cleanupTo: example(KRAKEN_ORIGIN.cleanupTo, { target_util_percent: 70, respect_eviction_ban: false }),
};

/** By the name of the interface and that of the route. */
export const EXAMPLES = {
  index,
  ...documents,
  tracker,
  origin: ofOrigin,
  members,
  originAdmin,
  ...host,
  repair,
  drain,
  ...gc,
  queue,
  replicate,
  agent: ofAgent,
  kraken,
  krakenHost,
  krakenIndex,
  krakenOrigin,
  krakenProxy,
  probes,
} as const;

/** The chart under real Helm: it renders, its schema refuses what is wrong, the roles accept the configurations. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { root, shoal } from '../cluster.ts';
import { run } from '../processes.ts';

type Container = {
  ports: { name: string }[];
  volumeMounts?: { mountPath: string }[];
  [probe: string]: unknown;
};
type Pod = {
  terminationGracePeriodSeconds: number;
  serviceAccountName?: string;
  containers: Container[];
  volumes: { name: string; configMap?: { name: string } }[];
};
type Resource = {
  kind: string;
  metadata: { name: string; labels: Record<string, string> };
  data?: Record<string, string>;
  spec: {
    template: { metadata: { labels: Record<string, string> }; spec: Pod };
    selector: { matchLabels: Record<string, string> } & Record<string, string>;
    ports: { targetPort: string }[];
    serviceName?: string;
    volumeClaimTemplates?: unknown[];
  };
};

const chart = join(root, 'helm/shoal');
const ROLES = ['agent', 'index', 'origin', 'proxy', 'tracker'];
const WORKLOADS = {
  agent: 'DaemonSet',
  index: 'StatefulSet',
  origin: 'StatefulSet',
  proxy: 'Deployment',
  tracker: 'Deployment',
};

async function render(...args: string[]): Promise<Resource[]> {
  const text = await run('helm', ['template', 'here', chart, '--kube-version', '1.31.0', '--namespace', 'ns', ...args]);
  return parseAllDocuments(text).map((document) => document.toJS() as Resource);
}

test('helm lint finds nothing', async () => {
  expect(await run('helm', ['lint', '--strict', chart])).toContain('0 chart(s) failed');
});

test.each(['proxy.replicas=0', 'agent.adminPort=99999', 'origin.budget=lots', 'origni.replicas=2', 'logLevel=loud'])(
  'the schema refuses --set %s',
  async (wrong) => {
    await expect(render('--set', wrong)).rejects.toThrow(/values don't meet the specifications of the schema/);
  },
);

test('alerts are there where they are asked for, and nowhere else', async () => {
  const named = async (...args: string[]): Promise<unknown[]> =>
    (await render(...args)).filter(({ kind }) => kind === 'PrometheusRule');
  expect(await named()).toEqual([]);
  const [rule] = await named(
    '--set',
    'alerts.enabled=true,alerts.labels.release=prometheus,alerts.writeBackAgeSeconds=60',
  );
  expect(rule).toMatchObject({
    metadata: { labels: { release: 'prometheus' } },
    spec: {
      groups: [
        { rules: [{ alert: 'ShoalCertificateExpires' }, { alert: 'ShoalRevocationListExpires' }] },
        { rules: [{ expr: expect.stringMatching(/oldest_seconds.*> 60$/) }, { alert: 'ShoalWriteBackDead' }] },
        { rules: [{ alert: 'ShoalOutboxLost' }] },
        { rules: [{ alert: 'ShoalBackendKeepsGarbage' }, { alert: 'ShoalBackendLacksBlob' }] },
        { rules: [{ alert: 'ShoalQuotaNearlyUsed' }] },
      ],
    },
  });
});

describe('rendered with its defaults', () => {
  let resources: Resource[] = [];
  const find = (kind: string, name: string): Resource => {
    const found = resources.find(
      (resource) => resource.kind === kind && resource.metadata.name === `here-shoal-${name}`,
    );
    if (found === undefined) throw new Error(`no ${kind} here-shoal-${name}`);
    return found;
  };
  beforeAll(async () => {
    resources = await render();
  });

  test.each(Object.entries(WORKLOADS))('%s is a %s with probes and its own configuration', (role, kind) => {
    const { template, selector } = find(kind, role).spec;
    expect(template.metadata.labels).toMatchObject(selector.matchLabels);
    const [container] = template.spec.containers;
    const ports = container?.ports.map(({ name }) => name);
    for (const [probe, path] of [
      ['livenessProbe', '/health'],
      ['readinessProbe', '/readiness'],
    ] as const) {
      const asked = container?.[probe] as { httpGet: { path: string; port: string } } | undefined;
      expect(asked?.httpGet.path).toBe(path);
      expect(ports).toContain(asked?.httpGet.port);
    }
    expect(template.spec.volumes.map(({ configMap }) => configMap?.name)).toContain(`here-shoal-${role}`);
    expect(find('ConfigMap', role).data).toHaveProperty([`${role}.yaml`]);
  });

  test('what keeps something has a volume', () => {
    for (const role of ['index', 'origin']) expect(find('StatefulSet', role).spec.volumeClaimTemplates).toHaveLength(1);
  });

  test('services find the pods and the ports that they name', () => {
    for (const role of ['index', 'origin', 'proxy', 'tracker'] as const) {
      const service = find('Service', role).spec;
      const { template } = find(WORKLOADS[role], role).spec;
      expect(template.metadata.labels).toMatchObject(service.selector);
      const names = template.spec.containers[0]?.ports.map(({ name }) => name);
      for (const { targetPort } of service.ports) expect(names).toContain(targetPort);
    }
  });

  test.each(ROLES)('shoal config check accepts the configuration of %s', async (role) => {
    await checkConfig(role, find('ConfigMap', role).data?.[`${role}.yaml`] ?? '');
  });
});

test('zone and rack come from labels of the pod, and only where they are named', async () => {
  const labels = ['topology.zoneLabel=topology.kubernetes.io/zone', 'topology.rackLabel=example.com/rack'];
  const resources = await render('--set', labels.join(','));
  for (const role of ['agent', 'origin'] as const) {
    const named = (kind: string) =>
      resources.find((one) => one.kind === kind && one.metadata.name === `here-shoal-${role}`) as Resource;
    expect(named('ConfigMap').data?.[`${role}.yaml`]).toMatch(
      / rack: r-\$\{POD_RACK:-\}\n +zone: z-\$\{POD_ZONE:-\}\n/,
    );
    await checkConfig(role, named('ConfigMap').data?.[`${role}.yaml`] ?? '');
    const [container] = named(WORKLOADS[role]).spec.template.spec.containers;
    expect(container?.['env']).toContainEqual({
      name: 'POD_ZONE',
      valueFrom: { fieldRef: { fieldPath: "metadata.labels['topology.kubernetes.io/zone']" } },
    });
  }
  await expect(render('--set', labels[1] as string)).rejects.toThrow(/a rack is within a zone/);
});

test('values of a role are merged over what the chart writes', async () => {
  const resources = await render('--set', 'agent.config.cache.budget=7GiB', '--set', 'cluster=mine');
  const agent = resources.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'here-shoal-agent');
  const text = agent?.data?.['agent.yaml'] ?? '';
  expect(text).toContain('budget: 7GiB');
  expect(text).toContain('cluster: mine');
  await checkConfig('agent', text);
});

test('how many origins and trackers there are is no part of any configuration: headless services tell of them', async () => {
  const configs = async (...args: string[]): Promise<unknown> => {
    const resources = await render(...args);
    for (const [service, lists] of [
      ['trackers', ['agent', 'origin']],
      ['origin', ['origin', 'proxy', 'tracker']],
    ] as const) {
      const found = resources.find(
        ({ kind, metadata }) => kind === 'Service' && metadata.name === `here-shoal-${service}`,
      );
      expect(found?.spec).toMatchObject({ clusterIP: 'None' });
      for (const role of lists) {
        const config = resources.find(
          ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === `here-shoal-${role}`,
        );
        expect(config?.data?.[`${role}.yaml`]).toContain(`dns+http://here-shoal-${service}:`);
      }
    }
    return resources.filter(({ kind }) => kind === 'ConfigMap').map(({ data }) => data);
  };
  expect(await configs('--set', 'origin.replicas=5,tracker.replicas=3')).toEqual(await configs());
});

test('several indexes share a store, have no volume, and are followed by DNS; without one they are refused', async () => {
  const store = 'index.store={"kind":"postgres","host":"db","password":"x"}';
  const resources = await render('--set', 'index.replicas=3', '--set-json', store);
  const of = (wanted: string, name = 'here-shoal-index') =>
    resources.find(({ kind, metadata }) => kind === wanted && metadata.name === name);
  expect(of('Deployment')?.spec).toMatchObject({ replicas: 3 });
  expect(of('StatefulSet')).toBeUndefined();
  expect(JSON.stringify(of('Deployment'))).not.toContain('/data');
  expect(of('Service', 'here-shoal-indexes')?.spec).toMatchObject({ clusterIP: 'None' });
  await checkConfig('index', of('ConfigMap')?.data?.['index.yaml'] ?? '');
  for (const role of ['agent', 'origin', 'proxy'])
    expect(of('ConfigMap', `here-shoal-${role}`)?.data?.[`${role}.yaml`]).toContain(
      'dns+http://here-shoal-indexes:15004',
    );
  await expect(render('--set', 'index.replicas=3')).rejects.toThrow('index.store');
});

test('what goes to other clusters is in the configuration of the index, with the origins, its secrets are files, and alerts watch it', async () => {
  const hub =
    '{"url":"https://hub.example","kind":"registry","credentials":{"username":"x","passwordFile":"/etc/shoal-replication/hub"}}';
  const replicate = `replicate={"remotes":{"hub":${hub}},"rules":[{"to":"hub"}]}`;
  const resources = await render('--set-json', replicate, '--set', 'replicationSecret=keys,alerts.enabled=true');
  const of = (wanted: string, name: string) =>
    resources.find(({ kind, metadata }) => kind === wanted && metadata.name === `here-shoal-${name}`);
  const text = of('ConfigMap', 'index')?.data?.['index.yaml'] ?? '';
  expect(text).toContain('dns+http://here-shoal-origin:15002');
  await checkConfig('index', text);
  for (const [kind, role] of [
    ['StatefulSet', 'index'],
    ['Deployment', 'proxy'],
  ] as const) {
    const pod = of(kind, role)?.spec.template.spec;
    expect(pod?.containers[0]?.volumeMounts?.map(({ mountPath }) => mountPath)).toContain('/etc/shoal-replication');
    expect(pod?.volumes).toContainEqual({ name: 'replication', secret: { secretName: 'keys' } });
  }
  const alerts = JSON.stringify(of('PrometheusRule', 'write-back'));
  expect(alerts).toMatch(/shoal_replication_lag_seconds.*> 900.*shoal_outbox_lost_total.*\[15m\]/);
});

test('backends go to origins and index alike, and the keys of their Secret into the environment', async () => {
  const rule = '{"name":"main","s3":{"bucket":"images","region":"eu-central-1"},"required":true}';
  const resources = await render('--set-json', `backends=[${rule}]`, '--set', 'backendsSecret=keys');
  for (const role of ['origin', 'index']) {
    const of = (wanted: string) =>
      resources.find(({ kind, metadata }) => kind === wanted && metadata.name === `here-shoal-${role}`);
    const text = of('ConfigMap')?.data?.[`${role}.yaml`] ?? '';
    expect(text).toContain('bucket: images');
    await checkConfig(role, text);
    const [container] = of('StatefulSet')?.spec.template.spec.containers ?? [];
    expect(container).toMatchObject({ envFrom: [{ secretRef: { name: 'keys' } }] });
  }
});

test('what backends need beside their rules: files, a directory, a service account', async () => {
  const rules = [
    '{"name":"google","repositories":"g/**","gcs":{"bucket":"images","credentials":{"file":"/etc/shoal-backends/account.json"}}}',
    '{"name":"rest","file":{"directory":"/mnt/backends/shoal"}}',
  ];
  const resources = await render(
    ...['--set-json', `backends=[${rules.join(',')}]`, '--set', 'backendsFiles=files,backendsServiceAccount=writer'],
    ...['--set-json', 'backendsVolume={"nfs":{"server":"nas","path":"/shoal"}}'],
    ...['--set-json', 'backendsPodLabels={"azure.workload.identity/use":"true"}'],
  );
  for (const [role, kind] of Object.entries(WORKLOADS)) {
    const found = resources.find((one) => one.kind === kind && one.metadata.name === `here-shoal-${role}`);
    const { spec } = found?.spec.template ?? {};
    const keeps = ['origin', 'index'].includes(role);
    const mounts = spec?.containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ mountPath }) => mountPath));
    expect(mounts?.includes('/etc/shoal-backends'), role).toBe(keeps);
    expect(mounts?.includes('/mnt/backends'), role).toBe(keeps);
    expect(spec?.serviceAccountName, role).toBe(keeps ? 'writer' : undefined);
    expect(found?.spec.template.metadata.labels['azure.workload.identity/use'], role).toBe(keeps ? 'true' : undefined);
    if (!keeps) continue;
    const config = resources.find((one) => one.kind === 'ConfigMap' && one.metadata.name === `here-shoal-${role}`);
    await checkConfig(role, config?.data?.[`${role}.yaml`] ?? '');
    expect(spec?.volumes).toContainEqual({ name: 'backends-files', secret: { secretName: 'files' } });
    expect(spec?.volumes).toContainEqual({ name: 'backends', nfs: { server: 'nas', path: '/shoal' } });
  }
});

describe('with certificates', () => {
  const certManager = 'tls.certManager.enabled=true,tls.certManager.issuerRef.name=ca,tls.certManager.operator=true';
  const tls = async (...args: string[]): Promise<Resource[]> =>
    await render('--set', ['tls.enabled=true', ...args].join());

  test('every role has its own from its Secret, probes ask over TLS, and config check takes what is written', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'shoal-chart-'));
    try {
      await shoalSays('certs', 'init', '--dir', dir, '--cluster', 'ns-here');
      const resources = await tls('tls.secrets.tracker=mine,tls.crl=true,tls.crlExpired=keep');
      for (const [role, kind] of Object.entries(WORKLOADS)) {
        const of = (wanted: string) =>
          resources.find((one) => one.kind === wanted && one.metadata.name === `here-shoal-${role}`) as Resource;
        const { spec, metadata } = of(kind).spec.template;
        const secretName = role === 'tracker' ? 'mine' : `here-shoal-${role}-tls`;
        expect(spec.volumes).toContainEqual({ name: 'tls', secret: { secretName } });
        const [container] = spec.containers;
        expect(container?.volumeMounts).toContainEqual({ name: 'tls', mountPath: '/etc/shoal-tls', readOnly: true });
        for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe'])
          expect(container?.[probe]).toMatchObject({ httpGet: { scheme: 'HTTPS' } });
        expect(metadata).toMatchObject({ annotations: { 'prometheus.io/scheme': 'https' } });
        const text = of('ConfigMap').data?.[`${role}.yaml`] ?? '';
        expect(text).toContain('crlExpired: keep');
        const own = join(dir, role);
        await shoalSays('certs', 'issue', role, role, '--dir', dir, '--san', '10.1.2.3');
        await writeFile(join(own, 'ca.crl'), await firstList(dir));
        await checkConfig(role, text.replaceAll('/etc/shoal-tls', own));
      }
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });

  test('cert-manager is asked for the Secrets that pods mount, with the names that parts are called by', async () => {
    const resources = await tls(certManager);
    const certificates = resources.filter(({ kind }) => kind === 'Certificate');
    const named = Object.fromEntries(certificates.map(({ metadata, spec }) => [metadata.name, spec as unknown]));
    expect(Object.keys(named).sort()).toEqual(['admin', ...ROLES].map((role) => `here-shoal-${role}-tls`).sort());
    for (const [role, kind] of Object.entries(WORKLOADS)) {
      const pod = resources.find((one) => one.kind === kind && one.metadata.name === `here-shoal-${role}`);
      const secretName = `here-shoal-${role}-tls`;
      expect(named[secretName]).toMatchObject({
        ...{
          secretName,
          uris: [`spiffe://ns-here/${role}/here-shoal-${role}`],
          issuerRef: { name: 'ca', kind: 'Issuer' },
        },
        usages: expect.arrayContaining(['server auth', 'client auth']),
      });
      expect(pod?.spec.template.spec.volumes).toContainEqual({ name: 'tls', secret: { secretName } });
      // Whatever a configuration calls is among the names of who answers there.
      const config = resources.find((one) => one.kind === 'ConfigMap' && one.metadata.name === `here-shoal-${role}`);
      const names = Object.values(named).flatMap((one) => (one as { dnsNames?: string[] }).dnsNames ?? []);
      for (const [, host = ''] of (config?.data?.[`${role}.yaml`] ?? '').matchAll(/http:\/\/([^:]+):/g))
        expect(names).toContain(host);
    }
    expect(named['here-shoal-agent-tls']).not.toHaveProperty('dnsNames');
  });

  test('what cannot be is refused: a cluster that no certificate can say, an issuer that is not named', async () => {
    await expect(tls('cluster=a/b')).rejects.toThrow(/cannot stand in a certificate/);
    await expect(tls('tls.certManager.enabled=true')).rejects.toThrow(/issuerRef.name/);
    await expect(tls('tls.crlExpired=maybe')).rejects.toThrow(/schema/);
  });
});

test('the grace period of every pod is what its process reckons with', async () => {
  for (const seconds of [30, 600]) {
    const resources = await render('--set', `shutdownSeconds=${seconds}`);
    for (const [role, kind] of Object.entries(WORKLOADS)) {
      const named =
        (of: string) =>
        ({ kind: found, metadata }: Resource): boolean =>
          found === of && metadata.name === `here-shoal-${role}`;
      expect(resources.find(named(kind))?.spec.template.spec.terminationGracePeriodSeconds).toBe(seconds);
      expect(resources.find(named('ConfigMap'))?.data?.[`${role}.yaml`]).toContain(`shutdown: ${seconds}s`);
    }
  }
});

async function shoalSays(...said: string[]): Promise<string> {
  const [node = '', ...args] = shoal;
  return (await promisify(execFile)(node, [...args, ...said])).stdout;
}

/** Of an authority that has revoked one certificate. */
async function firstList(dir: string): Promise<string> {
  const gone = join(dir, 'gone');
  if (!existsSync(gone)) {
    await shoalSays('certs', 'issue', 'agent', 'gone', '--dir', dir);
    await shoalSays('certs', 'revoke', gone, '--dir', dir);
  }
  return await readFile(join(dir, 'ca.crl'), 'utf8');
}

/** Has the role itself read the file, as its pod would. */
async function checkConfig(role: string, text: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-chart-'));
  try {
    const file = join(folder, `${role}.yaml`);
    await writeFile(file, text);
    const [node = '', ...args] = shoal;
    const env = { ...process.env, POD_IP: '10.1.2.3', POD_NAME: 'here-shoal-origin-0' };
    await promisify(execFile)(node, [...args, 'config', 'check', file], { env });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Secrets of every kind in the configurations of every role, whose servers all refuse what they are asked and say back what
 * they were sent: nothing that a process writes, answers or shows has a secret in it.
 */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { ACCESS, type HttpPort } from '../core/access/table.ts';
import { PROBES } from '../core/contracts/probes.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { Child, nodeCommand } from '../platform/lifecycle/child.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const loopback = { host: '127.0.0.1', port: 0 };
const entry = (role: string): URL => entryUrl(`../${role}/main.ts`, import.meta.url);
/** Each is its own, so that what leaks says where it comes from. */
const planted: string[] = [];
function plant(what: string): string {
  const secret = `pl4nted-${what}-${createHash('sha256').update(what).digest('hex').slice(0, 12)}`;
  planted.push(secret);
  return secret;
}

let cluster: Cluster;
let echo: Server;
let port: number;
const said: string[] = [];

/** Refuses in the form of whoever asks, and says back all of it: HTTP, Redis, PostgreSQL. */
function refuse(socket: Socket): void {
  socket.on('error', () => undefined);
  socket.on('data', (bytes: Buffer) => {
    const text = bytes.toString('latin1');
    said.push(text);
    const oneLine = text.replace(/[\r\n\0]+/g, ' ');
    if (text.startsWith('*')) return void socket.write(`-WRONGPASS ${oneLine}\r\n`.repeat(text.split('*').length - 1));
    if (/^[A-Z]+ \S+ HTTP/.test(text)) {
      const head = `HTTP/1.1 403 Forbidden\r\nx-reason: ${oneLine.slice(0, 500)}\r\ncontent-type: text/plain`;
      return void socket.end(`${head}\r\nconnection: close\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
    }
    if (bytes[0] === 0 && bytes.length === 8) return void socket.write('N');
    if (bytes[0] === 0) return void socket.write(Buffer.from([82, 0, 0, 0, 8, 0, 0, 0, 3]));
    const message = Buffer.from(`SFATAL\0C28P01\0Mrefused: ${oneLine}\0\0`);
    const head = Buffer.from([69, 0, 0, 0, 0]);
    head.writeUInt32BE(message.length + 4, 1);
    socket.end(Buffer.concat([head, message]));
  });
}

beforeAll(async () => {
  cluster = await Cluster.make();
  echo = createServer(refuse);
  await new Promise<void>((resolve) => echo.listen(0, '0.0.0.0', resolve));
  ({ port } = echo.address() as { port: number });
}, 60_000);
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  echo?.close();
});

const base64 = (text: string): string => Buffer.from(text).toString('base64');

function backends(): object[] {
  const at = `http://127.0.0.1:${port}`;
  const shared = base64(plant('azure-shared'));
  planted.push(shared);
  const rules = {
    s3: {
      bucket: 'bucket',
      endpoint: at,
      credentials: { accessKeyId: 'AKIAPUBLIC', secretAccessKey: plant('s3'), sessionToken: plant('s3-session') },
    },
    http: {
      download: `${at}/blobs/%s`,
      auth: { username: 'u', password: plant('http') },
      headers: { 'x-shared-secret': plant('http-header') },
    },
    registry: {
      address: `127.0.0.1:${port}`,
      plainHttp: true,
      credentials: { username: 'u', password: plant('registry') },
    },
    azure: {
      container: 'container',
      account: 'account',
      endpoint: `${at}/account`,
      credentials: { sharedKey: shared },
    },
    hdfs: { nameNodes: [`127.0.0.1:${port}`], directory: '/shoal', delegationToken: { token: plant('hdfs') } },
  };
  return Object.entries(rules).map(([kind, settings]) => ({
    repositories: `${kind}/**`,
    name: kind,
    [kind]: settings,
    stall: '2s',
    ...(kind === 'http' ? {} : { tags: { memory: {} } }),
  }));
}

/** Every GET of a port, and what it answers with; and each with nonsense. */
async function everything(process: Process, name: string, of: HttpPort): Promise<string> {
  const answers: string[] = [];
  for (const [{ method, pattern }] of ACCESS[of]) {
    if (method !== 'GET' && method !== 'POST') continue;
    const path = pattern
      .replaceAll(/:digest/g, `sha256:${'0'.repeat(64)}`)
      .replaceAll(/:[a-z]+/gi, 's3%2Fapp')
      .replace('*', 's3/app/tags/list');
    const init =
      method === 'GET' ? {} : { method, body: '{"nonsense":1}', headers: { 'content-type': 'application/json' } };
    const answer = await fetch(process.url(name) + path, { ...init, signal: AbortSignal.timeout(30_000) });
    answers.push(`${method} ${path}: ${answer.status} ${JSON.stringify([...answer.headers])} ${await answer.text()}`);
  }
  return answers.join('\n');
}

/** What has a secret in it, and which, with what is around it. */
function leaks(where: string, text: string): string[] {
  return planted.flatMap((secret) =>
    [secret, encodeURIComponent(secret), base64(`u:${secret}`), base64(`user:${secret}`)].flatMap((form) => {
      const found = text.indexOf(form);
      return found === -1 ? [] : [`${where}: ${text.slice(Math.max(0, found - 200), found + form.length + 40)}`];
    }),
  );
}

const commandLine = ({ pid }: Pick<Process, 'pid'>): string => readFileSync(`/proc/${pid}/cmdline`, 'latin1');

test('no log, answer, metric, argument or message of any role has a secret in it', { timeout: 300_000 }, async () => {
  const rules = backends();
  const originPort = await freePort();
  const origins = [`http://127.0.0.1:${originPort}`];
  const trackers = ['http://127.0.0.1:9'];
  const index = await cluster.start(entry('index'), 'index', {
    ...{ role: 'index', listen: loopback, data: cluster.dataOf('index'), origins, backends: rules },
    events: {
      endpoints: [
        {
          name: 'hook',
          url: `http://hook:${plant('event-url')}@127.0.0.1:${port}/hooks/${plant('event-path')}?key=${plant('event-query')}`,
          headers: { authorization: `Bearer ${plant('event-token')}`, 'x-anything': plant('event-header') },
        },
      ],
    },
    replicate: {
      remotes: {
        west: { url: `http://127.0.0.2:${port}`, token: plant('remote-token') },
        hub: {
          url: `http://127.0.0.3:${port}`,
          kind: 'registry',
          credentials: { username: 'user', password: plant('remote-password') },
        },
      },
      rules: [{ repositories: 'none/**', to: ['west', 'hub'] }],
    },
  });
  const calls = { index: [index.url('api')], origins };
  const [origin, proxy, tracker, agent] = await Promise.all([
    cluster.start(entry('origin'), 'origin', {
      ...{ role: 'origin', ...calls, listen: { ...loopback, port: originPort }, peer: loopback, trackers },
      ...{ data: cluster.dataOf('origin'), backends: rules },
    }),
    cluster.start(entry('proxy'), 'proxy', {
      ...{ role: 'proxy', ...calls, listen: loopback, push: { copies: 1, required: 1 } },
      replication: { receive: { tokens: [plant('receive-token')] } },
    }),
    cluster.start(entry('tracker'), 'tracker', {
      ...{ role: 'tracker', listen: loopback, origins },
      leases: { redis: `redis://user:${plant('redis')}@127.0.0.1:${port}/0` },
    }),
    cluster.start(entry('agent'), 'agent', {
      ...{ role: 'agent', ...calls, listen: loopback, admin: loopback, peer: loopback, trackers },
      data: cluster.dataOf('agent'),
    }),
  ]);

  const found: string[] = [];
  const registry = proxy.url('registry');
  const bytes = Buffer.from('{}');
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}` as const;
  for (const kind of ['s3', 'http', 'registry', 'azure', 'hdfs', 'none']) {
    const repo = `${kind}/app`;
    const config = await fetch(`${registry}${OCI_PATHS.uploads(repo)}?digest=${digest}`, {
      method: 'POST',
      body: bytes,
    });
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.empty.v1+json', size: 2, digest },
      layers: [],
    });
    const sent = await fetch(`${registry}/v2/${repo}/manifests/v1`, {
      method: 'PUT',
      body: manifest,
      headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
    });
    const asked = [config, sent];
    for (const path of [
      `/v2/${repo}/blobs/sha256:${'1'.repeat(64)}`,
      `/v2/${repo}/manifests/nowhere`,
      `/v2/${repo}/manifests/sha256:${'2'.repeat(64)}`,
    ])
      for (const from of [registry, agent.url('registry')])
        asked.push(
          await fetch(from + path, {
            headers: { authorization: `Bearer ${plant('caller')}`, 'shoal-replication': plant('caller-token') },
          }),
        );
    for (const one of asked)
      found.push(
        ...leaks(`answer of ${one.url}`, `${one.status} ${JSON.stringify([...one.headers])} ${await one.text()}`),
      );
  }
  // What is owed to backends, receivers and remotes is tried at once.
  await expect
    .poll(() => said.filter((text) => text.includes('/hooks/')).length, { timeout: 60_000 })
    .toBeGreaterThan(0);
  await expect.poll(() => said.some((text) => text.startsWith('*')), { timeout: 60_000 }).toBe(true);
  await expect.poll(async () => await cluster.log('index'), { timeout: 60_000 }).toContain('west');
  await expect.poll(async () => await cluster.log('origin'), { timeout: 60_000 }).toMatch(/"backend":|403/);

  const parts = { index, origin, proxy, tracker, agent };
  for (const [name, part] of Object.entries(parts)) {
    const answers = { index: 'api', origin: 'api', tracker: 'api', proxy: 'registry', agent: 'admin' } as const;
    const at = answers[name as keyof typeof answers];
    found.push(...leaks(`${name} answers`, await everything(part, at, name as HttpPort)));
    found.push(...leaks(`${name} is ready?`, await (await fetch(part.url(at) + PROBES.readiness.pattern)).text()));
    found.push(...leaks(`arguments of ${name}`, commandLine(part)));
  }

  // An index whose database refuses it does not come up; what it is asked to check says why.
  const file = join(cluster.dir, 'postgres.yaml');
  const url = `postgres://user:${plant('postgres')}@127.0.0.1:${port}/db`;
  writeFileSync(
    file,
    stringify({ role: 'index', data: cluster.dataOf('pg'), listen: loopback, store: { kind: 'postgres', url } }),
  );
  const shoal = new URL('../bin/shoal.js', import.meta.url);
  for (const args of [
    ['config', 'check', file, '--online'],
    ['config', 'check', file, '--set', `store.url=nonsense:${plant('nonsense')}`],
    ['index', '-c', file],
  ]) {
    const child = Child.start({
      name: args[0] as string,
      command: nodeCommand(shoal, args),
      output: { file: join(cluster.dir, `cli-${args.length}-${args[0]}.log`) },
    });
    const late = setTimeout(() => child.signal('SIGKILL'), 15_000);
    await child.ended;
    clearTimeout(late);
  }

  // As a crash does: the log of an error that nobody caught.
  for (const part of Object.values(parts)) await part.stop();
  for (const log of readdirSync(cluster.dir).filter((one) => one.endsWith('.log')))
    found.push(...leaks(log, readFileSync(join(cluster.dir, log), 'utf8')));
  expect([...new Set(found)]).toEqual([]);
  // The servers were told who asks, or nothing is proven.
  const heard = said.join('\n');
  const told = (one: string): boolean => heard.includes(one) || heard.includes(base64(`u:${one}`));
  const kinds = planted.filter(told).map((one) => one.split('-').slice(1, -1).join('-'));
  expect(kinds).toEqual(expect.arrayContaining(['event-token', 'hdfs', 'postgres', 'redis', 'remote-token']));
});

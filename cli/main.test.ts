import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MemoryRegistry } from '../platform/clients/registry/fixtures.ts';
import { freeBase, portsOf } from './cluster/ports.ts';

const executable = fileURLToPath(new URL('../bin/shoal.js', import.meta.url));
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-main-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

type Ran = { code: number | null; out: string; err: string };
const shoal = (...args: string[]): Promise<Ran> => shoalWith({}, ...args);

async function shoalWith(environment: Record<string, string>, ...args: string[]): Promise<Ran> {
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, [executable, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  return { code, out, err };
}

test.runIf(process.platform === 'linux').each([
  ['agent', true],
  ['tracker', false],
] as const)(
  '%s becomes a process that is small where it carries pieces, with its compiled code kept',
  async (role, small) => {
    const file = join(dir, `${role}.yaml`);
    const port = { host: '127.0.0.1', port: 0 };
    const nowhere = ['http://127.0.0.1:1'];
    const own =
      role === 'agent' ? { data: join(dir, 'data'), admin: port, peer: port, trackers: nowhere } : { origins: nowhere };
    writeFileSync(file, JSON.stringify({ role, listen: port, ...own }));
    const child = spawn(process.execPath, [executable, role, '--config', file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      for await (const chunk of child.stdout) if (String(chunk).includes('"ready"')) break;
      const said = (what: string) => readFileSync(`/proc/${child.pid}/${what}`, 'utf8').split('\0');
      expect(said('cmdline').includes('--max-semi-space-size=4')).toBe(small);
      expect(said('environ')).toContain('MALLOC_ARENA_MAX=2');
      expect(said('environ').some((line) => /^NODE_COMPILE_CACHE=.*node_modules/.test(line))).toBe(true);
    } finally {
      child.kill('SIGKILL');
    }
  },
);

test('--version and --help', async () => {
  expect(await shoal('--version')).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  const help = await shoal('--help');
  expect(help.code).toBe(0);
  for (const command of [
    'up',
    'demo',
    'agent',
    'origin',
    'tracker',
    'index',
    'proxy',
    'config',
    'get',
    'put',
    'ls',
    'rm',
  ]) {
    expect(help.out).toMatch(new RegExp(`^  ${command} `, 'm'));
  }
});

test.each([
  [['nope'], "unknown command 'nope'"],
  [['up', '--agents', '0'], 'Give a whole number from 1 to 64.'],
  [['up', '--indexes', '10'], 'Give a whole number from 1 to 9.'],
  [
    ['up', '--indexes', '3'],
    '--indexes 3: SQLite, which holds what an index knows in a file of its own, is for one process',
  ],
  [['up', '--store', '/no/such.yaml'], '--store /no/such.yaml: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE'],
  [['up', '--base-port', 'x'], 'Give a whole number from 1 to 65535.'],
  [['up', '--base-port', '65000'], 'choose a lower --base-port'],
  [['demo', '--size', 'big'], 'Give a size from 1MB to 16GB'],
  [['demo', '--kill', 'nobody@0.5'], 'there is no part "nobody"'],
  [['ls', '--proxy', 'x'], 'Give a URL such as http://127.0.0.1:15000.'],
  [['get', 'a/b:1', '--agent', 'x'], 'Give a URL such as http://127.0.0.1:16000.'],
  [['agent'], "required option '-c, --config <file>' not specified"],
  [['get', 'sha256:00'], 'is no digest'],
  [['put', '/no/such/file'], '/no/such/file: there is no such file'],
  [['config', 'schema', 'nobody'], 'there is no role "nobody"'],
  [['config', 'check', '/no/such.yaml'], '/no/such.yaml: there is no such file'],
])('%j is refused in a line, exit code 2', async (args, message) => {
  const { code, out, err } = await shoal(...args);
  expect(code).toBe(2);
  expect(out).toBe('');
  expect(err).toContain(message);
  expect(err).not.toContain('    at ');
  expect(err.trim().split('\n').length).toBeLessThanOrEqual(2);
});

test("config check: the role is the file's own; every problem with its line", async () => {
  const good = join(dir, 'good.yaml');
  writeFileSync(good, 'role: tracker\nlisten: { port: 0 }\n');
  expect(await shoal('config', 'check', good)).toMatchObject({ code: 0, out: `${good}: right, for role tracker\n` });
  const bad = join(dir, 'bad.yaml');
  writeFileSync(bad, 'role: tracker\nlease: soon\nnope: 1\n');
  const { code, err } = await shoal('config', 'check', bad);
  expect(code).toBe(2);
  expect(err.trim().split('\n').sort()).toEqual([
    expect.stringContaining(`${bad}:2: lease: `),
    `${bad}:3: nope: unknown key`,
  ]);
  const none = join(dir, 'none.yaml');
  writeFileSync(none, 'lease: 1s\n');
  expect(await shoal('config', 'check', none)).toMatchObject({ code: 2, err: expect.stringContaining('write `role:') });
});

test('config check --online tries the backends, names what fails, and what to do', async () => {
  const file = join(dir, 'online.yaml');
  const [store, none] = [join(dir, 'store'), join(dir, 'no-store')];
  mkdirSync(store);
  const text = ['role: origin', 'backends:', `  - { name: main, file: { directory: ${store} } }`];
  writeFileSync(file, text.join('\n'));
  const online = (...more: string[]) => shoal('config', 'check', file, '--online', ...more);
  expect(await online()).toMatchObject({ code: 0, out: expect.stringContaining('backend main (file): right: ') });
  writeFileSync(file, [...text.slice(0, 2), `  - { name: gone, file: { directory: ${none} } }`].join('\n'));
  const failed = await online();
  expect(failed.code).toBe(1);
  expect(failed.out).toContain(
    `backend gone (file): missing: gone: there is no directory ${none}: mount its file system`,
  );
  const { code, out } = await online('--json');
  expect(code).toBe(1);
  expect(JSON.parse(out)).toMatchObject({ ok: false, tried: [{ what: 'backend gone', ok: false, cause: 'missing' }] });
  expect((await shoal('config', 'check', file, '--json')).code).toBe(2);
});

test('config check --role: of a file that names none, as `shoal up --backends` takes', async () => {
  const file = join(dir, 'backends.yaml');
  writeFileSync(file, `backends: [{ name: main, file: { directory: ${dir} } }]\n`);
  const check = (...more: string[]) => shoal('config', 'check', file, '--online', ...more);
  expect(await check()).toMatchObject({ code: 2, err: expect.stringContaining('give --role') });
  expect(await check('--role', 'origin')).toMatchObject({
    code: 0,
    out: expect.stringContaining('main (file): right'),
  });
});

test('config check refuses what a start refuses, in the same words', async () => {
  const file = join(dir, 'origin.yaml');
  const text = ['role: origin', `data: ${join(dir, 'never')}`, 'self: http://c:1', 'memory:', '  arena: 1KiB'];
  writeFileSync(file, text.join('\n'));
  const [check, start] = await Promise.all([
    shoal('config', 'check', file, '--set', 'workers=0'),
    shoal('origin', '--config', file, '--set', 'workers=0'),
  ]);
  expect(check).toEqual(start);
  expect(check.code).toBe(2);
  expect(check.err.trim().split('\n')).toEqual([
    `${file}:3: self: http://c:1 is not among the origins listed: http://127.0.0.1:15002`,
    expect.stringMatching(/:5: memory\.arena: expected at least 16MiB /),
    '--set workers: workers: expected at least 1, got 0',
  ]);
});

test('config schema prints a JSON Schema', async () => {
  const { out } = await shoal('config', 'schema', 'tracker');
  expect(JSON.parse(out)).toMatchObject({ type: 'object', properties: { role: { const: 'tracker' } } });
});

test('up on a port in use names it before anything starts', async () => {
  const port = portsOf(await freeBase(2, Math.random), 2).tracker;
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const { code, err } = await shoal('up', '--dir', join(dir, 'up'), '--base-port', String(port - 3));
  server.close();
  expect(code).toBe(2);
  expect(err).toBe(`shoal: port ${port} is in use: stop what listens there, or choose other ports with --base-port\n`);
});

test('a transfer with nobody there says so', async () => {
  const { code, err } = await shoal('ls', '--proxy', 'http://127.0.0.1:1');
  expect(code).toBe(1);
  expect(err).toContain('http://127.0.0.1:1/v2/_catalog');
  expect(err).toContain('connection refused');
});

test.each([['reconcile'], ['import', '--from', 'main']])(
  '%s: what the command line says of the index wins over SHOAL_INDEX',
  async (...command) => {
    const replied = { looked: 7, tags: 0, changes: [], broken: [] };
    const server = createHttpServer((_request, response) => response.end(JSON.stringify(replied)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const file = join(dir, `index-${port}.yaml`);
    writeFileSync(file, `role: index\nlisten: { host: 127.0.0.1, port: ${port} }\n`);
    const asked = (SHOAL_INDEX: string, ...more: string[]) => shoalWith({ SHOAL_INDEX }, ...command, ...more);
    const base = `http://127.0.0.1:${port}`;
    const done = { code: 0, out: expect.stringMatching(/^7 keys/) };
    for (const elsewhere of ['http://127.0.0.1:1', 'no URL']) {
      expect(await asked(elsewhere, '--config', file)).toMatchObject(done);
      expect(await asked(elsewhere, '--index', base)).toMatchObject(done);
    }
    expect(await asked(base)).toMatchObject(done);
    expect(await asked('no URL')).toMatchObject({ code: 2, err: expect.stringMatching(/SHOAL_INDEX: Give a URL/) });
    const both = await asked(base, '--config', file, '--index', base);
    expect(both).toMatchObject({ code: 2, err: expect.stringContaining('cannot be used with') });
    server.close();
  },
  30_000,
);

test('a server that is no registry is named as that', async () => {
  const server = createHttpServer((_request, response) => response.writeHead(404).end('nothing here'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const digest = `sha256:${'0'.repeat(64)}`;
  for (const args of [
    ['ls', '--proxy', base],
    ['get', 'library/app:1', '--agent', base],
    ['get', digest, '--agent', base],
    ['put', executable, '--proxy', base],
  ]) {
    const { code, err } = await shoal(...args);
    expect([args[0], code]).toEqual([args[0], 1]);
    expect(err).toContain(`${base} is no registry`);
  }
  server.close();
});

test('Ctrl-C in mid-transfer: exit code 130, what arrived stays, and the next get goes on from it', async () => {
  await using server = await MemoryRegistry.start();
  const bytes = Buffer.alloc(3_000_000, 'shoal');
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  server.blobs.set(digest, bytes);
  server.heldReads = [1_000_000];
  const out = join(dir, 'interrupted');
  const args = ['get', digest, '-o', out, '--agent', server.base];
  const child = spawn(process.execPath, [executable, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const size = () => statSync(`${out}.part`, { throwIfNoEntry: false })?.size;
  await expect.poll(size, { timeout: 20_000 }).toBe(1_000_000);
  child.kill('SIGINT');
  const [err, [code]] = await Promise.all([text(child.stderr), once(child, 'exit') as Promise<[number | null]>]);
  expect(code).toBe(130);
  expect(err).toBe('shoal: stopped\n');
  expect(size()).toBe(1_000_000);
  expect(await shoal(...args)).toMatchObject({ code: 0 });
  expect(readFileSync(out).equals(bytes)).toBe(true);
});

test('what put prints can be pasted, whatever the file is called', async () => {
  await using server = await MemoryRegistry.start();
  const file = join(dir, "naïve it's 文件.bin");
  writeFileSync(file, 'some bytes');
  const { code, out } = await shoal('put', file, '--proxy', server.base);
  expect(code).toBe(0);
  expect(out).toMatch(/^sha256:[0-9a-f]{64} {2}10 B\nshoal get sha256:[0-9a-f]{64} -o 'naïve it'\\''s 文件.bin'\n$/);
});

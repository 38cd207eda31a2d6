/** The commands as a user gives them, beside an index that runs. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { IndexClient } from '../../platform/clients/index-client.ts';
import { httpMembers } from '../../platform/members/http.ts';
import { fixedList } from '../../platform/members/list.ts';

const executable = fileURLToPath(new URL('../../bin/shoal.js', import.meta.url));
let dir: string;
let config: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-index-backup-'));
  config = join(dir, 'index.yaml');
  writeFileSync(
    config,
    JSON.stringify({ role: 'index', data: join(dir, 'data'), listen: { host: '127.0.0.1', port: 0 } }),
  );
});
afterAll(() => rmSync(dir, { recursive: true }));

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function shoal(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [executable, 'index', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as number | null, out, err };
}

/** An index that runs, and its client. */
async function running(...sets: string[]): Promise<{ index: IndexClient; kill: () => Promise<void> }> {
  const args = [executable, 'index', '--config', config, ...sets.flatMap((set) => ['--set', set])];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const kill = (): Promise<void> => killed(child);
  stack.defer(kill);
  for await (const line of createInterface({ input: child.stdout })) {
    const { msg, ports } = JSON.parse(line) as { msg: string; ports?: { api: number } };
    if (msg !== 'ready') continue;
    child.stdout.resume();
    const members = httpMembers(fixedList([`http://127.0.0.1:${ports?.api}`]));
    return { index: new IndexClient(stack.use(members)), kill };
  }
  throw new Error('the index did not start');
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** Five processes, on a busy machine. */
const testMs = 60_000;
const ctx = CallContext.begin();
const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = (tag: string) => ({ mediaType: 'm/x', size: 5, tags: [tag], blobs: [], manifests: [] });

test(
  'backed up while it runs; restored when it does not; read only when it says so',
  async () => {
    const backup = join(dir, 'copy.db');
    const first = await running();
    await first.index.putManifest('a', digest(1), image('kept'), ctx);
    const made = await shoal('backup', '--config', config, '--to', backup);
    expect(made).toMatchObject({ code: 0, out: `${backup}: 1 repositories, 1 manifests, 1 tags\n` });
    await first.index.putManifest('a', digest(2), image('lost'), ctx);

    const restore = ['restore', '--config', config, '--from', backup, '--replace'];
    const beside = await shoal(...restore);
    expect(beside).toMatchObject({ code: 2, err: expect.stringContaining('an index runs on ') });
    expect(await first.index.tags('a', { n: 9 }, ctx)).toMatchObject({ tags: ['kept', 'lost'] });
    await first.kill();
    const restored = await shoal(...restore);
    expect(restored).toMatchObject({ code: 0, err: '' });
    expect(restored.out.split('\n')).toEqual([
      `${join(dir, 'data', 'tags.db')}: 1 repositories, 1 manifests, 1 tags`,
      expect.stringContaining('tags.db.before-'),
      expect.stringContaining('it has no backend to be found in: start the index, push it again'),
      expect.stringContaining('until that is said origins remove nothing by its word'),
      '',
    ]);

    const second = await running('readOnly=true');
    expect(await second.index.tags('a', { n: 9 }, ctx)).toMatchObject({ tags: ['kept'] });
    await expect(second.index.deleteTag('a', 'kept', ctx)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    expect(readdirSync(join(dir, 'data')).filter((name) => name.includes('part'))).toEqual([]);
  },
  testMs,
);

test('an index that keeps its state elsewhere is backed up there', async () => {
  const other = join(dir, 'other.yaml');
  writeFileSync(other, JSON.stringify({ role: 'index', store: { kind: 'postgres', host: 'db' } }));
  const { code, err } = await shoal('backup', '--config', other, '--to', join(dir, 'never.db'));
  expect([code, err]).toEqual([
    2,
    expect.stringContaining(
      "the store is of kind postgres, which is not backed up by this: the database's own tools do that",
    ),
  ]);
});

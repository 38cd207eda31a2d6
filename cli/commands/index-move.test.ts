/** `shoal index move` as a user gives it, beside an index that runs; killed at any moment, and given again. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { prng } from '../../core/prng.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { IndexClient } from '../../platform/clients/index-client.ts';
import { httpMembers } from '../../platform/members/http.ts';
import { fixedList } from '../../platform/members/list.ts';
import { entriesOf } from '../../platform/tags/move/moving.fixtures.ts';
import { openTagsData } from '../../platform/tags/sqlite/data.ts';
import { sqliteMoveSource } from '../../platform/tags/sqlite/moving/moving.ts';
import { openSqliteTags } from '../../platform/tags/sqlite/sqlite.ts';

const executable = fileURLToPath(new URL('../../bin/shoal.js', import.meta.url));
const ctx = CallContext.begin();
const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = (...tags: string[]) => ({ mediaType: 'm/x', size: 5, tags, blobs: [], manifests: [] });
/** Many processes, on a busy machine. */
const testMs = 120_000;
/** So many that a move takes longer than a process takes to start. */
const tagCount = 6_000;

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-index-move-'));
});
afterAll(() => rmSync(dir, { recursive: true }));
let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

function configOf(name: string, more: object = {}): string {
  const file = join(dir, `${name}.yaml`);
  const listen = { host: '127.0.0.1', port: 0 };
  writeFileSync(file, JSON.stringify({ role: 'index', data: join(dir, name), listen, ...more }));
  return file;
}

function move(
  from: string,
  to: string,
): ChildProcess & { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream } {
  const args = [executable, 'index', 'move', '--from', from, '--to', to];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function ended(child: ReturnType<typeof move>) {
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as number | null, out, err };
}

/** An index that runs, and its client. */
async function running(
  config: string,
  ...sets: string[]
): Promise<{ index: IndexClient; port: number; kill: () => Promise<void> }> {
  const child = spawn(
    process.execPath,
    [executable, 'index', '--config', config, ...sets.flatMap((set) => ['--set', set])],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  stack.defer(kill);
  for await (const line of createInterface({ input: child.stdout })) {
    const { msg, ports } = JSON.parse(line) as { msg: string; ports?: { api: number } };
    if (msg !== 'ready') continue;
    child.stdout.resume();
    const port = ports?.api ?? 0;
    const members = httpMembers(fixedList([`http://127.0.0.1:${port}`]));
    return { index: new IndexClient(stack.use(members)), port, kill };
  }
  throw new Error('the index did not start');
}

test(
  'while it takes writes it is refused; then it is moved, and the next index goes on',
  async () => {
    const writable = configOf('one');
    const first = await running(writable);
    const written = await first.index.putManifest('a', digest(1), image('kept'), ctx);
    expect(await ended(move(writable, configOf('two')))).toMatchObject({ code: 2, err: /readOnly: true/ });
    const said = configOf('one', { readOnly: true, listen: { host: '127.0.0.1', port: first.port } });
    const refused = await ended(move(said, configOf('two')));
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('takes writes') });
    await first.kill();
    const second = await running(said);
    const { code, out, err } = await ended(move(said, configOf('two')));
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain('1 repositories, 1 manifests, 1 tags');
    expect(out).toContain('all alike');
    expect((await second.index.tag('a', 'kept', ctx))?.digest).toBe(digest(1));
    expect(await ended(move(said, configOf('two')))).toMatchObject({ code: 2, err: /the very database/ });
    // Read only by the command line alone: the index itself says so.
    await second.kill();
    const silent = configOf('one', { listen: { host: '127.0.0.1', port: first.port } });
    expect(await ended(move(silent, configOf('three')))).toMatchObject({ code: 2, err: /--set readOnly=true/ });
    const third = await running(silent, 'readOnly=true');
    expect(await ended(move(silent, configOf('three')))).toMatchObject({ code: 0, err: '' });
    await third.kill();
    const { index } = await running(configOf('two'));
    expect((await index.tag('a', 'kept', ctx))?.version).toBe(written?.version);
    await index.putManifest('a', digest(2), image('kept'), ctx);
  },
  testMs,
);

test(
  'killed at any moment, and given again',
  async () => {
    const seed = Date.now() % 1_000_000;
    const random = prng(seed);
    const from = configOf('full', { readOnly: true });
    const to = configOf('moved');
    {
      const file = await openTagsData(join(dir, 'full'));
      await using store = openSqliteTags({ file, onBroken: (error) => Promise.reject(error) });
      const all = Array.from({ length: tagCount }, (_, no) => no);
      await Promise.all(all.map((no) => store.putManifest(`r${no % 50}`, digest(no), image(`t${no}`), 0)));
    }
    let kills = 0;
    let whole = false;
    for (; !whole && kills < 12; ) {
      const child = move(from, to);
      const end = ended(child);
      await Promise.race([end, sleep(300 + random.below(900))]);
      whole = child.exitCode === 0;
      if (whole) break;
      child.kill('SIGKILL');
      await end;
      kills += 1;
    }
    if (!whole) {
      const last = await ended(move(from, to));
      // The one that was killed had done it, and could not say so.
      if (!last.err.includes('was that done already?'))
        expect(last, `seed ${seed}`).toMatchObject({ code: 0, err: '' });
    }
    expect(kills, `seed ${seed}`).toBeGreaterThan(0);
    const [source, copy] = [await sqliteMoveSource(join(dir, 'full')), await sqliteMoveSource(join(dir, 'moved'))];
    expect(await entriesOf(copy), `seed ${seed}`).toEqual(await entriesOf(source));
    expect(existsSync(join(dir, 'moved', 'tags.db.moving'))).toBe(false);
  },
  testMs,
);

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import type { AuditEntry } from './entry.ts';
import { auditLine } from './entry.ts';
import { AuditLog, type AuditLogOptions } from './log.ts';

let dir: string;
let metrics: Metrics;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-audit-'));
  metrics = new Metrics();
});
afterEach(() => rm(dir, { recursive: true }));

const file = (): string => join(dir, 'audit.log');
const open = (more: Partial<AuditLogOptions> = {}): Promise<AuditLog> =>
  AuditLog.open({ file: file(), maxBytes: 1e6, keep: 3, required: true, ...more }, { log: silentLog(), metrics });
const entry = (no: number): AuditEntry => ({
  what: 'push',
  result: 'done',
  who: { user: 'alice', requestId: `r${no}` },
  repo: 'a/b',
  reference: `v${no}`,
});

async function lines(path = file()): Promise<{ requestId: string; what: string }[]> {
  const text = await readFile(path, 'utf8');
  expect(text === '' || text.endsWith('\n')).toBe(true);
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}
/** Of all files, the oldest first. */
async function everything(): Promise<string[]> {
  const names = (await readdir(dir)).filter((name) => name.startsWith('audit.log'));
  const no = (name: string): number => Number(name.split('.')[2] ?? 0);
  const all = names.sort((a, b) => no(b) - no(a)).map((name) => lines(join(dir, name)));
  return (await Promise.all(all)).flat().map(({ requestId }) => requestId);
}

test('a line has who, what, when and what came of it, and no line breaks of anybody', () => {
  const who = { user: 'a\nb', certificate: 'admin/x', address: '::1', requestId: 'r' };
  const at = new Date(0);
  const line = auditLine({ ...entry(1), who, digest: 'sha256:1', version: '7', detail: { reason: '\u2028\n"' } }, at);
  expect(line.indexOf('\n')).toBe(line.length - 1);
  expect(JSON.parse(line)).toEqual({
    ...{ time: '1970-01-01T00:00:00.000Z', what: 'push', result: 'done', user: 'a\nb', certificate: 'admin/x' },
    ...{ address: '::1', repo: 'a/b', reference: 'v1', digest: 'sha256:1', version: '7', requestId: 'r' },
    detail: { reason: '\u2028\n"' },
  });
  const long = auditLine({ ...entry(1), detail: 'x'.repeat(100_000) }, at);
  expect(long.length).toBeLessThan(3_000);
  expect(Object.keys(JSON.parse(auditLine(entry(1), at)))).not.toContain('certificate');
});

test('what is acknowledged is in the file, in the order of the writes, also after the next start', async () => {
  await using first = await open();
  await Promise.all(Array.from({ length: 500 }, (_, i) => first.write(entry(i))));
  await first[Symbol.asyncDispose]();
  await using second = await open();
  await second.write(entry(500));
  expect((await lines()).map(({ requestId }) => requestId)).toEqual(Array.from({ length: 501 }, (_, i) => `r${i}`));
  await expect(first.write(entry(9))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('a full file is put aside, so many are kept, and nothing is lost in between', async () => {
  const size = Buffer.byteLength(auditLine(entry(10), new Date()));
  await using audit = await open({ maxBytes: size * 10, keep: 4 });
  for (let i = 10; i < 60; i++) await audit.write(entry(i));
  expect((await readdir(dir)).sort()).toEqual(['audit.log', ...[1, 2, 3, 4].map((no) => `audit.log.${no}`)]);
  expect(await everything()).toEqual(Array.from({ length: 50 }, (_, i) => `r${i + 10}`));
  for (let i = 60; i < 80; i++) await audit.write(entry(i));
  // The oldest two went.
  expect(await everything()).toEqual(Array.from({ length: 50 }, (_, i) => `r${i + 30}`));
});

test('a crash between two renames leaves a name free: nothing is written over', async () => {
  await using audit = await open({ maxBytes: 1, keep: 5 });
  for (const no of [10, 11, 12]) await audit.write(entry(no));
  // FILE.1 was about to be put aside.
  await rm(join(dir, 'audit.log.1'));
  await writeFile(join(dir, 'audit.log.1.note'), '');
  await audit.write(entry(13));
  expect((await readdir(dir)).sort()).toEqual(['audit.log', 'audit.log.1', 'audit.log.1.note', 'audit.log.2']);
  expect(await lines(join(dir, 'audit.log.2'))).toMatchObject([{ requestId: 'r10' }]);
  expect(await lines(join(dir, 'audit.log.1'))).toMatchObject([{ requestId: 'r12' }]);
});

test.each([
  ['a torn line is cut off', '{"time":"2026-', ['r1', 'r2']],
  ['bytes that are nothing are cut off', '\u0000\u0000\u0000', ['r1', 'r2']],
  ['a whole line without its end gets one', JSON.stringify({ requestId: 'whole' }), ['r1', 'whole', 'r2']],
])('%s at the next start', async (_name, torn, left) => {
  await using before = await open();
  await before.write(entry(1));
  await before[Symbol.asyncDispose]();
  await appendFile(file(), torn);
  await using audit = await open();
  await audit.write(entry(2));
  expect((await lines()).map(({ requestId }) => requestId)).toEqual(left);
});

test('a disk without room refuses what is to be written down, before and after; once there is room it goes on', async () => {
  await symlink('/dev/full', file());
  await using audit = await open();
  await audit.ready();
  await expect(audit.write(entry(1))).rejects.toMatchObject({ code: 'STORAGE_FULL', status: 507 });
  await expect(audit.ready()).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  expect(audit.problems()).toEqual([expect.stringContaining('cannot be written (ENOSPC)')]);
  await rm(file());
  await vi.waitFor(() => audit.ready(), { timeout: 60_000 });
  await audit.write(entry(2));
  expect((await lines()).map(({ what }) => what)).toEqual(['resume', 'push']);
  expect(audit.problems()).toEqual([]);
});

test('what need not be written down is done all the same, and counted', async () => {
  await symlink('/dev/full', file());
  await using audit = await open({ required: false });
  await audit.ready();
  await audit.write(entry(1));
  await audit.ready();
  expect(await metrics.text()).toContain('shoal_audit_lost_total{outcome="lost"} 1');
  expect(audit.problems()).toHaveLength(1);
});

test('a directory that is not there is said at once, and is no reason not to start', async () => {
  await using audit = await open({ file: join(dir, 'not', 'there', 'audit.log') });
  expect(audit.problems()).toEqual([expect.stringContaining('ENOENT')]);
  await expect(audit.ready()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

/** Writes without an end, and prints each entry once it is acknowledged. */
const writer = fileURLToPath(new URL('./writer.fixtures.ts', import.meta.url));

test('killed at any moment it has every entry that was acknowledged, and each line is whole after the next start', async () => {
  const acknowledged: string[] = [];
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, [writer, file(), String(round)], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await vi.waitFor(() => expect(text.length).toBeGreaterThan(200), { timeout: 60_000, interval: 5 });
    await sleep(Math.random() * 30);
    child.kill('SIGKILL');
    await once(child, 'close');
    acknowledged.push(...text.split('\n').slice(0, -1));
  }
  await using _ = await open({ maxBytes: 20_000, keep: 1_000 });
  const all = new Set(await everything());
  expect(acknowledged.length).toBeGreaterThan(100);
  expect(acknowledged.filter((one) => !all.has(one))).toEqual([]);
}, 240_000);

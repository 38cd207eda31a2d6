/**
 * `npm run test:real [-- --group NAME]... [--install] [--short|--long] [--seed N] [--keep DIR]`: tests with real clients
 * and servers.
 *
 * Most of their time they wait for what they started, so files of all groups run a few at a time (vitest.config.ts).
 *
 * `--short` is the short form of long groups, `--long` the long form of the one that has one (short.ts). `--seed` is what
 * decides the faults of group chaos, and `--keep` where it leaves the logs of all its processes.
 *
 * A program that a group needs and that is not there is a failure of that group, never a skip; `--install` installs
 * it first. A group without tests says so and counts nothing. The last line is `N passed, N failed, N skipped`.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { GROUPS, type Group, hint, install, missing } from './programs.ts';

type Count = { passed: number; failed: number; skipped: number };

const here = fileURLToPath(new URL('.', import.meta.url));
const root = join(here, '../..');

const { values } = parseArgs({
  options: {
    group: { type: 'string', multiple: true },
    install: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
    seed: { type: 'string' },
    keep: { type: 'string' },
  },
});
const isGroup = (name: string): name is Group => Object.hasOwn(GROUPS, name);

/** Tests of these groups, under one vitest; a run that dies without a report is one failure of each. */
async function runGroups(asking: readonly Group[]): Promise<Map<Group, Count>> {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-real-'));
  const report = join(folder, 'report.json');
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const folders = asking.map((group) => join(here, group, '/'));
  const args = ['run', '--project', 'real', '--project', 'alone', ...reporters, ...folders];
  try {
    const env = { ...process.env, ...asked() };
    const child = spawn(process.execPath, [vitest, ...args], { cwd: root, env, stdio: 'inherit' });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return counted(asking, { code, report: existsSync(report) ? readFileSync(report, 'utf8') : undefined });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the tests are told of the command line. */
function asked(): Record<string, string> {
  const { short, long, seed, keep } = values;
  return {
    ...(short && { SHOAL_SHORT: '1' }),
    ...(long && { SHOAL_LONG: '1' }),
    ...(seed !== undefined && { SHOAL_SEED: seed }),
    ...(keep !== undefined && { SHOAL_KEEP: keep }),
  };
}

type Report = {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
};

/** By group, in the order in which they were asked for. */
function counted(groups: readonly Group[], run: { code: number | null; report: string | undefined }) {
  const counts = new Map<Group, Count>();
  const { testResults } = JSON.parse(run.report ?? '{"testResults":[]}') as Report;
  for (const group of groups) {
    const files = testResults.filter(({ name }) => name.startsWith(join(here, group, '/')));
    const statuses = files.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
    const passed = statuses.filter((status) => status === 'passed').length;
    // A set-up that fails has no test that failed.
    const lost = files.filter((file) => file.status === 'failed' && !file.assertionResults.some(isFailed)).length;
    const failed = statuses.filter((status) => status === 'failed').length + lost + (files.length === 0 ? 1 : 0);
    const skipped = statuses.filter((status) => status !== 'passed' && status !== 'failed').length;
    counts.set(group, { passed, failed, skipped });
  }
  const [first] = counts.values();
  // An error outside of any file (an unhandled rejection) fails the run without failing a test.
  if (run.code !== 0 && first !== undefined && [...counts.values()].every(({ failed }) => failed === 0))
    first.failed = 1;
  return counts;
}

function isFailed({ status }: { readonly status: string }): boolean {
  return status === 'failed';
}

async function hasTests(group: Group): Promise<boolean> {
  const names = await readdir(join(here, group)).catch(() => []);
  return names.some((name) => name.endsWith('.test.ts'));
}

/** Installs what is missing if asked to; what is missing then. */
async function prepare(group: Group): Promise<string[]> {
  const lacking = missing(group);
  if (lacking.length === 0 || !values.install) return lacking;
  console.log(`${group}: installing ${lacking.join(', ')}`);
  await install(lacking).catch((error: Error) => console.log(`${group}: ${error.message}`));
  return missing(group);
}

/** Whether there is something to run, and all that it needs; else its count is known. */
async function lacks(group: Group): Promise<Count | undefined> {
  if (!(await hasTests(group))) {
    console.log(`${group}: has no tests yet`);
    return { passed: 0, failed: 0, skipped: 0 };
  }
  const lacking = await prepare(group);
  for (const program of lacking) console.log(`${group}: ${program} is missing: ${hint(program)} (or --install)`);
  return lacking.length > 0 ? { passed: 0, failed: 1, skipped: 0 } : undefined;
}

const groups = values.group ?? Object.keys(GROUPS);
const unknown = groups.filter((name) => !isGroup(name));
if (unknown.length > 0) {
  console.error(`there is no group '${unknown.join("', '")}': choose from ${Object.keys(GROUPS).join(', ')}`);
  process.exit(2);
}
const counts = new Map<Group, Count>();
const ready: Group[] = [];
for (const group of new Set(groups.filter(isGroup))) {
  const count = await lacks(group);
  if (count === undefined) ready.push(group);
  else counts.set(group, count);
}
if (ready.length > 0) for (const [group, count] of await runGroups(ready)) counts.set(group, count);

const total: Count = { passed: 0, failed: 0, skipped: 0 };
for (const [group, { passed, failed, skipped }] of counts) {
  console.log(`${group}: of ${passed + failed + skipped} tests ${failed} failed, ${skipped} were skipped`);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 ? 1 : 0;

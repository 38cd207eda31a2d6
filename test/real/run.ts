/**
 * `npm run test:real [-- --group NAME]... [--install] [--short|--long] [--seed N] [--keep DIR]`: tests with real clients
 * and servers, group by group.
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

/** Tests of one group under vitest; a run that dies without a report is one failure. */
async function runGroup(group: Group): Promise<Count> {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-real-'));
  const report = join(folder, 'report.json');
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const args = ['run', '--project', 'real', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  try {
    const env = { ...process.env, ...asked() };
    const child = spawn(process.execPath, [vitest, ...args, join(here, group)], { cwd: root, env, stdio: 'inherit' });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return existsSync(report) ? countOf(readFileSync(report, 'utf8'), code) : { passed: 0, failed: 1, skipped: 0 };
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

function countOf(report: string, code: number | null): Count {
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(report);
  // An error outside of any test (a suite's set-up, an unhandled rejection) fails the run without failing a test.
  const failed = numFailedTests === 0 && code !== 0 ? 1 : numFailedTests;
  return { passed: numPassedTests, failed, skipped: numPendingTests + numTodoTests };
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

async function test(group: Group): Promise<Count> {
  if (!(await hasTests(group))) {
    console.log(`${group}: has no tests yet`);
    return { passed: 0, failed: 0, skipped: 0 };
  }
  const lacking = await prepare(group);
  for (const program of lacking) console.log(`${group}: ${program} is missing: ${hint(program)} (or --install)`);
  return lacking.length > 0 ? { passed: 0, failed: 1, skipped: 0 } : runGroup(group);
}

const groups = values.group ?? Object.keys(GROUPS);
const unknown = groups.filter((name) => !isGroup(name));
if (unknown.length > 0) {
  console.error(`there is no group '${unknown.join("', '")}': choose from ${Object.keys(GROUPS).join(', ')}`);
  process.exit(2);
}
const total: Count = { passed: 0, failed: 0, skipped: 0 };
for (const group of groups.filter(isGroup)) {
  const { passed, failed, skipped } = await test(group);
  console.log(`${group}: of ${passed + failed + skipped} tests ${failed} failed, ${skipped} were skipped`);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 ? 1 : 0;

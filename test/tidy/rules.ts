/**
 * The repository's rules that a compiler cannot hold (CONTRIBUTING.md), each a function from a source tree to the
 * list of what breaks it, one line a finding. Biome holds most of them too: these read plain text, so that a change
 * in Biome cannot switch both off.
 */
import { forTestsOnly } from '../../tools/tests-only.ts';
import { calls } from './calls.ts';
import { members } from './members.ts';
import { network } from './network.ts';
import { paths } from './paths.ts';
import { circles, folders, lengths, median } from './sizes.ts';
import type { Reference, Source } from './tree.ts';
import { modulesNamed, references, withoutComments } from './tree.ts';

const COMPONENTS = ['agent', 'origin', 'tracker', 'index', 'proxy'];
const PRODUCT = ['core', 'platform', ...COMPONENTS, 'cli'];

const top = (path: string): string => path.split('/')[0] ?? '';
const isProduct = (path: string): boolean => PRODUCT.includes(top(path));

/** The folders that a folder may import, itself included. */
function mayReach(from: string, kind: Reference['kind']): string[] {
  if (from === 'core') return ['core'];
  if (from === 'platform') return ['platform', 'core'];
  if (from === 'cli') return kind === 'url' ? PRODUCT : ['cli', 'platform', 'core'];
  return [from, 'platform', 'core'];
}

/** Files that a URL may name from anywhere: they are read, not run. */
const READ_BY_URL = ['package.json', 'docs', 'examples', 'console', 'helm', 'biome.json'];

const breaksLayers = ({ from, to, kind, inTree }: Reference): boolean =>
  inTree &&
  isProduct(from) &&
  !mayReach(top(from), kind).includes(top(to)) &&
  !(kind === 'url' && (forTestsOnly(from) || READ_BY_URL.includes(top(to))));

const runsTestCode = ({ from, to, inTree }: Reference): boolean =>
  inTree && isProduct(from) && !forTestsOnly(from) && forTestsOnly(to);

/** Imports point down; components never import each other; cli/ imports none; nothing imports loadgen, bench, test. */
function layers(tree: readonly Source[]): string[] {
  const all = tree.flatMap(references);
  return [
    ...all.filter(breaksLayers).map(({ from, to, kind }) => `${from}: ${kind} of ${to} points up or sideways`),
    ...all.filter(runsTestCode).map(({ from, to }) => `${from}: import of ${to}, which is for tests only`),
  ];
}

const IMPURE =
  /\b(Date|setTimeout|setInterval|setImmediate|queueMicrotask|process|crypto|performance|fetch)\b\s*[.(]|\bMath\.random\b|\bawait\b|\basync\b|\bconsole\./;

/** core/ imports core/ only, has no clock, no randomness, no await. */
function purity(tree: readonly Source[]): string[] {
  const core = tree.filter(({ path }) => top(path) === 'core' && !forTestsOnly(path));
  return core.flatMap((source) => [
    ...references(source)
      .filter(({ inTree }) => !inTree)
      .map(({ to }) => `${source.path}: core/ imports core/ only, not '${to}'`),
    ...linesThat(source, (line) => IMPURE.test(line), 'core/ has no clock, randomness, await or I/O'),
  ]);
}

const ENVIRONMENT = /\bprocess(?:\.env\b|\[)|\}\s*=\s*process\b|from ['"](?:node:)?process['"]/;

/** `Atomics` in one file; the loop of a machine in one; `process.env` in main.ts (and tests) only. */
function soleOwners(tree: readonly Source[]): string[] {
  return tree.flatMap((source) => [
    ...(source.path === 'platform/workers/ring.ts' || !isProduct(source.path)
      ? []
      : linesThat(source, (line) => /\bAtomics\s*\./.test(line), 'only platform/workers/ring.ts says Atomics')),
    ...(source.path === 'platform/drive/driver.ts' || forTestsOnly(source.path)
      ? []
      : linesThat(source, (line) => /\.drain\(\)/.test(line), 'only platform/drive runs a machine: make a Driver')),
    ...(/(^|\/)main\.ts$/.test(source.path) || forTestsOnly(source.path) || !isProduct(source.path)
      ? []
      : linesThat(source, (line) => ENVIRONMENT.test(line), 'only main.ts reads the environment')),
  ]);
}

/** Who may start a process beside platform/lifecycle/child.ts: they run a program to its end, or become it. */
const RUNS_TO_THE_END = ['bin/shoal.js', 'cli/commands/role.ts', 'harness/programs.ts', 'test/real/run.ts'];

/** Children are started in one place, which ends them. A test that looks at a process from outside may do it by hand. */
function starters(tree: readonly Source[]): string[] {
  const starts = ({ module, statement }: { module: string; statement: string }): boolean =>
    /^(node:)?child_process$/.test(module) && /\b(fork|spawn)\b|\* as |import\(|require\(/.test(statement);
  return tree
    .filter(({ path }) => !path.endsWith('.test.ts'))
    .filter(({ path }) => path !== 'platform/lifecycle/child.ts' && !RUNS_TO_THE_END.includes(path))
    .filter((source) => modulesNamed(source).some(starts))
    .map(({ path }) => `${path}: start it with platform/lifecycle/child.ts`);
}

// Spelt in two halves so that this file does not break its own rule.
const BANNED: readonly (readonly [RegExp, string])[] = [
  [new RegExp(`\\b(TO${'DO'}|FIX${'ME'}|XX${'X'}|HA${'CK'})\\b`), 'finish it, or file an issue'],
  [new RegExp(`@ts-${'ignore'}|@ts-${'nocheck'}`), 'use @ts-expect-error with a reason'],
  [new RegExp(`\\bvi\\.${'mock'}\\(`), 'no mocks: write a second implementation of the seam'],
  [new RegExp(`\\b(?:it|test|describe)\\.(?:${'only'}|${'skip'}|${'todo'})\\b`), 'every test runs, or goes'],
];

/** A cast through unknown, or to never: the compiler is told to forget what it knows, mostly so that a stand-in passes for a class. */
function casts(tree: readonly Source[]): string[] {
  // Spelt in two halves so that this file does not break its own rule.
  const cast = new RegExp(`\\bas ${'unknown'} as\\b|\\bas ${'never'}\\b(?!\\.)`, 'g');
  return tree.flatMap(({ path, text }) => {
    const code = withoutComments(text);
    return [...code.matchAll(cast)].map(
      ({ index }) =>
        `${path}:${code.slice(0, index).split('\n').length}: take a port, the part of the class that is used, in place of a cast`,
    );
  });
}

const DECLARED = /^export (?:declare |async |abstract )*(?:type|const|let|function\*?|class|interface) (\w+)/gm;

/** An exported name is declared in one file of the product: who reads it knows which is meant. */
function once(tree: readonly Source[]): string[] {
  const files = new Map<string, Set<string>>();
  for (const { path, text } of tree.filter(({ path }) => isProduct(path) && !forTestsOnly(path))) {
    for (const [, name = ''] of text.matchAll(DECLARED)) files.set(name, (files.get(name) ?? new Set()).add(path));
  }
  return [...files]
    .filter(([, paths]) => paths.size > 1)
    .map(
      ([name, paths]) =>
        `${name}: is declared in ${[...paths].join(' and in ')}: give each a name that explains itself`,
    );
}

/** Words that stand for work not done, and ways around the compiler or the tests. */
function bannedWords(tree: readonly Source[]): string[] {
  return tree.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => {
      const hit = BANNED.find(([word]) => word.test(line));
      return hit ? [`${path}:${index + 1}: '${line.trim().slice(0, 60)}': ${hit[1]}`] : [];
    }),
  );
}

const DRAWERS = /(^|\/)(utils?|helpers?|misc|stuff)(\/|\.ts$)/;

/** No file without its opening comment, none named for nothing. */
function shape(tree: readonly Source[]): string[] {
  return tree.flatMap(({ path, text }) => {
    const opens = /^(#!.*\n)?\s*\/[/*]/.test(text);
    return [
      ...(opens || forTestsOnly(path) ? [] : [`${path}: opens without a comment that says what it is for`]),
      ...(DRAWERS.test(path) ? [`${path}: a drawer is no purpose: name it for what it does`] : []),
    ];
  });
}

function linesThat(source: Source, breaks: (line: string) => boolean, why: string): string[] {
  return withoutComments(source.text)
    .split('\n')
    .flatMap((line, index) => (breaks(line) ? [`${source.path}:${index + 1}: ${why}`] : []));
}

/** Every rule, by the name that plants.ts uses. */
export const RULES = {
  layers,
  purity,
  soleOwners,
  starters,
  casts,
  once,
  network,
  calls,
  paths,
  members,
  bannedWords,
  shape,
  lengths,
  folders,
  median,
  circles,
} as const;

/** Violations, one a file, each with the check that has to find it. They are written into a temporary tree only. */
import type { RULES } from './rules.ts';

export type Plant = {
  readonly path: string;
  readonly text: string;
  /** The Biome rule that must fire on this file. */
  readonly biome?: string;
  /** The function of rules.ts that must name this file. */
  readonly tidy?: keyof typeof RULES;
  /** What a tidy finding begins with, where that is not the path. */
  readonly named?: string;
};

const constants = (lines: number): string =>
  Array.from({ length: lines }, (_, n) => `export const v${n} = ${n};\n`).join('');
const body = (lines: number): string => '  used(1);\n'.repeat(lines);

/** Files that break nothing: targets of imports, and the proof that the checks do not fire on everything. */
export const CLEAN: readonly Plant[] = [
  { path: 'core/clean.ts', text: '/** Clean. */\nexport const one = 1;\n' },
  {
    path: 'platform/clean.ts',
    text: "/** Clean. */\nimport { one } from '../core/clean.ts';\nexport const two = one + 1;\n",
  },
  {
    path: 'platform/clean-address.ts',
    text: "/** Clean. */\nimport { isIP } from 'node:net';\nexport const kind = (host: string): number => isIP(host);\n",
  },
  ...['agent', 'origin', 'tracker', 'index', 'proxy', 'cli', 'harness', 'test'].map((folder) => ({
    path: `${folder}/clean.ts`,
    text: "/** Clean. */\nimport { two } from '../platform/clean.ts';\nexport const three = two + 1;\n",
  })),
  { path: 'agent/just-short-enough.ts', text: `/** Clean. */\n${constants(399)}` },
  ...Array.from({ length: 20 }, (_, n) => ({
    path: `agent/full/v${n}.ts`,
    text: '/** Clean. */\nexport const a = 1;\n',
  })),
  { path: 'agent/full/v.test.ts', text: '/** A test does not count. */\nexport const a = 1;\n' },
  ...Array.from({ length: 20 }, (_, n) => ({
    path: `agent/crowded/v${n}.ts`,
    text: '/** Clean. */\nexport const a = 1;\n',
  })),
];

const imports = (path: string, to: string): Plant => ({
  path,
  text: `/** Planted. */\nimport { three } from '${to}';\nexport const four = three;\n`,
  biome: 'lint/style/noRestrictedImports',
  tidy: 'layers',
});

export const PLANTS: readonly Plant[] = [
  imports('core/deep/up-platform.ts', '../../platform/clean.ts'),
  imports('core/up-agent.ts', '../agent/clean.ts'),
  imports('platform/deep/up-index.ts', '../../index/clean.ts'),
  imports('platform/up-cli.ts', '../cli/clean.ts'),
  imports('agent/sideways.ts', '../origin/clean.ts'),
  imports('origin/sideways.ts', '../agent/clean.ts'),
  imports('tracker/sideways.ts', '../index/clean.ts'),
  imports('index/sideways.ts', '../tracker/clean.ts'),
  imports('proxy/sideways.ts', '../agent/clean.ts'),
  imports('cli/component.ts', '../proxy/clean.ts'),
  imports('agent/outside.ts', '../test/clean.ts'),
  imports('platform/measures.ts', '../harness/clean.ts'),
  {
    path: 'proxy/by-url.ts',
    text: "/** Planted. */\nexport const url = new URL('../agent/clean.ts', import.meta.url);\n",
    tidy: 'layers',
  },
  {
    path: 'agent/borrows.ts',
    text: "/** Planted. */\nimport { one } from './fixtures.ts';\nexport const two = one;\n",
    tidy: 'layers',
  },
  {
    path: 'core/node.ts',
    text: "/** Planted. */\nimport { readFileSync } from 'node:fs';\nexport const read = readFileSync;\n",
    biome: 'lint/correctness/noNodejsModules',
    tidy: 'purity',
  },
  {
    path: 'core/clock.ts',
    text: '/** Planted. */\nexport const now = (): number => Date.now();\n',
    biome: 'lint/style/noRestrictedGlobals',
    tidy: 'purity',
  },
  {
    path: 'core/random.ts',
    text: '/** Planted. */\nexport const draw = (): number => Math.random();\n',
    biome: 'plugin',
    tidy: 'purity',
  },
  {
    path: 'core/waits.ts',
    text: '/** Planted. */\nexport async function wait(of: Promise<void>): Promise<void> {\n  await of;\n}\n',
    tidy: 'purity',
  },
  {
    path: 'platform/atomics.ts',
    text: '/** Planted. */\nexport const load = (a: Int32Array): number => Atomics.load(a, 0);\n',
    biome: 'lint/style/noRestrictedGlobals',
    tidy: 'soleOwners',
  },
  {
    path: 'platform/dials.ts',
    text: "/** Planted. */\nimport { connect, isIP } from 'node:net';\nexport const dial = (): unknown => isIP('h') || connect(1);\n",
    tidy: 'network',
  },
  {
    path: 'agent/dials.ts',
    text: "/** Planted. */\nexport const dial = async (): Promise<unknown> => (await import('node:tls')).connect({});\n",
    tidy: 'network',
  },
  {
    path: 'platform/environment-apart.ts',
    text: '/** Planted. */\nconst { env } = process;\nexport const home = env.HOME;\n',
    tidy: 'soleOwners',
  },
  {
    path: 'loadgen/loop-of-its-own.ts',
    text: '/** Planted. */\nexport const run = (m: { drain(): unknown[] }): unknown => m.drain' + '();\n',
    tidy: 'soleOwners',
  },
  {
    path: 'platform/environment.ts',
    text: "/** Planted. */\nexport const home = process.env['HOME'];\n",
    biome: 'lint/style/noProcessEnv',
    tidy: 'soleOwners',
  },
  ...[
    ['agent/agent-of-its-own.ts', "import { Agent } from 'undici';\nexport const own = new Agent();"],
    ['agent/agent-later.ts', 'export const own = async (): Promise<unknown> => await import(`undici`);'],
    ['platform/clients/server.ts', "import { createServer } from 'node:http';\nexport const own = createServer();"],
    ['proxy/doubly-quoted.ts', 'import net from "net";\nexport const own = net.connect(1);'],
    ['tracker/required.ts', "export const own = createRequire(import.meta.url)('node:tls') ?? require('node:tls');"],
    ['index/got.ts', "export const own = process.getBuiltinModule('node:net').connect(1);"],
    [
      'origin/several-lines.ts',
      "import {\n  connect,\n  type Socket,\n} from 'node:tls';\nexport const own: Socket = connect(1);",
    ],
    ['proxy/serves.ts', "import { fastify } from 'fastify';\nexport const own = fastify();"],
    ['cli/fetches.ts', "export const got = async (): Promise<Response> => await fetch('http://127.0.0.1');"],
    ['platform/peer/timer.ts', 'export const later = (call: () => void): unknown => setTimeout(call, 1);'],
    ['platform/drive/clock.ts', 'export const nowMs = (): number => performance.now();'],
    ['loadgen/sim/own.ts', "import { connect } from 'node:net';\nexport const own = connect(1);"],
  ].map(([path = '', text]): Plant => ({ path, text: `/** Planted. */\n${text}\n`, tidy: 'network' })),
  {
    path: 'core/cycle-a.ts',
    text: "/** Planted. */\nimport { b } from './cycle-b.ts';\nexport const a = (): number => b();\n",
    biome: 'lint/suspicious/noImportCycles',
    tidy: 'circles',
    named: 'core: a circle of imports: core/cycle-a.ts, core/cycle-b.ts',
  },
  {
    path: 'core/cycle-b.ts',
    text: "/** Planted. */\nimport { a } from './cycle-a.ts';\nexport const b = (): number => a();\n",
    biome: 'lint/suspicious/noImportCycles',
    tidy: 'circles',
    named: 'core: a circle of imports: core/cycle-a.ts, core/cycle-b.ts',
  },
  {
    path: 'core/types/circle-a.ts',
    text: "/** Planted. */\nimport type { B } from './circle-b.ts';\nexport type A = { b: B };\n",
    tidy: 'circles',
    named: 'core/types: a circle of imports: core/types/circle-a.ts, core/types/circle-b.ts, core/types/circle-c.ts',
  },
  {
    path: 'core/types/circle-b.ts',
    text: "/** Planted. */\nimport type { C } from './circle-c.ts';\nexport type B = { c: C };\n",
  },
  {
    path: 'core/types/circle-c.ts',
    text: "/** Planted. */\nimport type { A } from './circle-a.ts';\nexport type C = { a?: A };\n",
  },
  {
    path: 'agent/floating.ts',
    text: '/** Planted. */\nasync function work(): Promise<void> {}\nexport function start(): void {\n  work();\n}\n',
    biome: 'lint/nursery/noFloatingPromises',
  },
  {
    path: 'agent/misused.ts',
    text: '/** Planted. */\nasync function ready(): Promise<boolean> {\n  return true;\n}\nexport function go(): number {\n  if (ready()) return 1;\n  return 2;\n}\n',
    biome: 'lint/nursery/noMisusedPromises',
  },
  {
    path: 'agent/switch.ts',
    text: "/** Planted. */\ntype Kind = 'a' | 'b';\nexport function name(kind: Kind): string {\n  let said = '';\n  switch (kind) {\n    case 'a':\n      said = 'A';\n      break;\n  }\n  return said;\n}\n",
    biome: 'lint/nursery/useExhaustiveSwitchCases',
  },
  {
    path: 'agent/long-function.ts',
    text: `/** Planted. */\nexport function long(used: (n: number) => void): void {\n${body(71)}}\n`,
    biome: 'lint/complexity/noExcessiveLinesPerFunction',
  },
  {
    path: 'agent/long-file.ts',
    text: `/** Planted. */\n${constants(401)}`,
    biome: 'lint/style/noExcessiveLinesPerFile',
    tidy: 'lengths',
  },
  {
    path: 'agent/long-with-blanks.ts',
    text: `/** Planted. */\n${constants(200).replaceAll('\n', '\n\n')}`,
    tidy: 'lengths',
  },
  { path: 'agent/long.test.ts', text: `/** Planted. */\n${constants(400)}`, tidy: 'lengths' },
  {
    path: 'agent/crowded/one-too-many.ts',
    text: '/** Planted. */\nexport const a = 1;\n',
    tidy: 'folders',
    named: 'agent/crowded: 21 ',
  },
  {
    path: 'agent/parameters.ts',
    text: '/** Planted. */\nexport const five = (a: number, b: number, c: number, d: number, e: number): number => a + b + c + d + e;\n',
    biome: 'lint/complexity/useMaxParams',
  },
  { path: 'agent/enumerated.ts', text: '/** Planted. */\nexport enum Kind {\n  a,\n}\n', biome: 'lint/style/noEnum' },
  {
    path: 'agent/parameter-property.ts',
    text: '/** Planted. */\nexport class C {\n  constructor(readonly a: number) {}\n}\n',
    biome: 'lint/style/noParameterProperties',
  },
  { path: 'agent/defaulted.ts', text: '/** Planted. */\nexport default 1;\n', biome: 'lint/style/noDefaultExport' },
  {
    path: 'agent/barrel.ts',
    text: "/** Planted. */\nexport * from './clean.ts';\n",
    biome: 'lint/performance/noBarrelFile',
  },
  {
    path: 'agent/untyped.ts',
    text: '/** Planted. */\nexport const a: any = 1;\n',
    biome: 'lint/suspicious/noExplicitAny',
  },
  {
    path: 'agent/unused.ts',
    text: '/** Planted. */\nconst unused = 1;\n',
    biome: 'lint/correctness/noUnusedVariables',
  },
  {
    path: 'agent/later.ts',
    text: `/** Planted. */\n// TO${'DO'} finish this\nexport const a = 1;\n`,
    tidy: 'bannedWords',
  },
  {
    path: 'loadgen/spawns.ts',
    text: `/** Planted. */\nimport {\n  type ChildProcess,\n  sp${'awn'},\n} from 'node:child_process';\nexport const child = (): ChildProcess => spawn('x');\n`,
    tidy: 'starters',
  },
  {
    path: 'bench/forks.ts',
    text: `/** Planted. */\nimport { type ChildProcess, fo${'rk'} } from 'node:child_process';\nexport const child = (): ChildProcess => fork('x');\n`,
    tidy: 'starters',
  },
  {
    path: 'agent/twice.ts',
    text: '/** Planted. */\nexport type DeclaredTwice = string;\n',
    tidy: 'once',
    named: 'DeclaredTwice: is declared in agent/twice.ts and in platform/twice.ts',
  },
  { path: 'platform/twice.ts', text: '/** Planted. */\nexport class DeclaredTwice {}\n' },
  ...[
    ['agent/cast.ts', `export const a = {} as ${'unknown'} as Map<string, string>;`],
    ['agent/cast-to-never.ts', `export const a: Map<string, string> = {} as ${'never'};`],
  ].map(([path = '', text]): Plant => ({ path, text: `/** Planted. */\n${text}\n`, tidy: 'casts' })),
  {
    path: 'agent/context-literal.ts',
    text: "/** Planted. */\nimport type { CallContext } from './clean.ts';\nexport const ctx: CallContext = { requestId: '1' };\n",
    tidy: 'calls',
  },
  {
    path: 'agent/context-cast.ts',
    text: "/** Planted. */\nimport type { CallContext } from './clean.ts';\nexport const ctx = { requestId: '1' } as CallContext;\n",
    tidy: 'calls',
  },
  {
    path: 'agent/context-copy.ts',
    text: '/** Planted. */\nexport const copy = (ctx: object): object => ({ ...ctx, signal: undefined });\n',
    tidy: 'calls',
  },
  {
    path: 'agent/context-header.ts',
    text: "/** Planted. */\nexport const of = (headers: Record<string, string>): unknown => headers['x-shoal-client'];\n",
    tidy: 'calls',
  },
  ...[
    ['bench/one.ts', "export const path = '/v1/blobs';"],
    ['tracker/two.ts', `export const path = (base: string): string => \`\${base}/v1/announce\`;`],
    ['proxy/three.ts', `export const path = (repo: string): string => \`/v2/\${repo}/tags/list\`;`],
    ['origin/four.ts', 'export const read = /^\\/v1\\/blobs/;'],
    ['loadgen/relative.ts', "export const path = (base: URL): URL => new URL('v1/blobs', base);"],
    ['harness/five.ts', "export const path = '/metrics';"],
  ].map(([path = '', text]): Plant => ({ path, text: `/** Planted. */\n${text}\n`, tidy: 'paths' })),
  {
    path: 'agent/own-client.ts',
    text: "/** Planted. */\nimport { HttpClient } from './clean.ts';\nexport const one = new HttpClient({ base: '' });\n",
    tidy: 'members',
  },
  {
    path: 'origin/own-ring.ts',
    text: "/** Planted. */\nimport { Ring } from '../core/rendezvous/rendezvous.ts';\nexport const ring = Ring.of([]);\n",
    tidy: 'members',
  },
  { path: 'agent/wordless.ts', text: 'export const a = 1;\n', tidy: 'shape' },
  { path: 'agent/utils.ts', text: '/** Planted. */\nexport const a = 1;\n', tidy: 'shape' },
];

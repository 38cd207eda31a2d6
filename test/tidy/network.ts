/**
 * One seam for the network and for time: which files may name what reaches another process, or waits by a clock of its
 * own. Whoever else needs it is given it.
 */
import { forTestsOnly } from '../../tools/tests-only.ts';
import type { Source } from './tree.ts';
import { modulesNamed, withoutComments } from './tree.ts';

/** Modules, by their names without `node:`, and where they may be named: in files that begin so. */
const OWNERS: readonly {
  readonly modules: readonly string[];
  readonly owners: readonly string[];
  /** What anybody may take of them. */
  readonly but?: RegExp;
}[] = [
  { modules: ['undici'], owners: ['platform/net/http.ts'] },
  { modules: ['http', 'https', 'http2'], owners: ['platform/http/'] },
  { modules: ['fastify'], owners: ['platform/http/server.ts'], but: /^import type / },
  {
    modules: ['net', 'tls'],
    owners: ['platform/net/'],
    but: /^import (type |\{ *((isIP|BlockList|type \w+)(, *)?)+ *\} from)/,
  },
  // Asks the kernel which address of ours leads to another; nothing is sent.
  { modules: ['dgram', 'dns', 'dns/promises'], owners: ['platform/net/', 'platform/peer/advertise.ts'] },
];

/** Who measures the product from outside has clients and servers of its own, which nobody simulates. */
const OUTSIDE: readonly string[] = [
  'harness/',
  'bench/',
  'loadgen/announce/',
  'loadgen/attack/',
  'loadgen/pull/',
  'loadgen/tags/',
  'test/',
];

/** Node's own connections: `fetch` has an agent that all share and nobody can replace. */
const GLOBALS =
  /(?:\b(?:await|return|void)|=>|[=(,:])\s*fetch\(|new (?:WebSocket|EventSource)\(|\bglobal(?:This)?\.fetch\b/;

/** What runs in virtual time as well: it waits by the Clock that it was given. */
const CLOCKED = /^platform\/(?:peer|drive|net\/(?!http\.ts$|clock\.ts$))/;
const TIMERS = /(?<![\w.#])(?:setTimeout|setInterval)\(|\bperformance\.now\(|\bDate\.now\b|['"`](?:node:)?timers/;

const under = (prefixes: readonly string[], path: string): boolean =>
  prefixes.some((prefix) => path.startsWith(prefix));

export function network(tree: readonly Source[]): string[] {
  const inside = tree.filter(({ path }) => !under(OUTSIDE, path) && !forTestsOnly(path));
  return inside.flatMap((source) => [...byModules(source), ...byGlobals(source)]);
}

function byModules(source: Source): string[] {
  return modulesNamed(source).flatMap(({ module, statement }) => {
    const rule = OWNERS.find(({ modules }) => modules.includes(module.replace(/^node:/, '')));
    return rule === undefined || under(rule.owners, source.path) || rule.but?.test(statement) === true
      ? []
      : [`${source.path}: only ${rule.owners.join(', ')} may import '${module}': take it as an argument`];
  });
}

function byGlobals({ path, text }: Source): string[] {
  return withoutComments(text)
    .split('\n')
    .flatMap((line, index) => [
      ...(GLOBALS.test(line) ? [`${path}:${index + 1}: calls go through a client that was given its transport`] : []),
      ...(CLOCKED.test(path) && TIMERS.test(line)
        ? [`${path}:${index + 1}: waits by the Clock that it was given`]
        : []),
    ]);
}

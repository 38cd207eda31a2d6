/**
 * One seam for the network: which files may name what reaches another process. Whoever else needs it is given it.
 */
import { forTestsOnly } from '../../tools/tests-only.ts';
import type { Source } from './tree.ts';
import { references } from './tree.ts';

/** A module, and where it may be named: in files that begin so. */
const OWNERS: readonly { readonly modules: readonly string[]; readonly owners: readonly string[] }[] = [
  { modules: ['undici'], owners: ['platform/net/http.ts'] },
  { modules: ['node:http', 'node:https', 'node:http2'], owners: ['platform/http/'] },
];

/** Who measures the product from outside has clients and servers of its own, which nobody simulates. */
const OUTSIDE: readonly string[] = ['harness/', 'bench/', 'loadgen/announce/', 'loadgen/pull/', 'test/'];

const under = (prefixes: readonly string[], path: string): boolean =>
  prefixes.some((prefix) => path.startsWith(prefix));

export function network(tree: readonly Source[]): string[] {
  const inside = tree.filter(({ path }) => !under(OUTSIDE, path) && !forTestsOnly(path));
  return inside.flatMap((source) =>
    references(source).flatMap(({ from, to }) => {
      const rule = OWNERS.find(({ modules }) => modules.includes(to));
      return rule === undefined || under(rule.owners, from)
        ? []
        : [`${from}: only ${rule.owners.join(', ')} may import '${to}': take it as an argument`];
    }),
  );
}

/**
 * `--store` of a cluster on this machine: the engine that its indexes share (docs/index.md).
 *
 * A URL of PostgreSQL, or a file of YAML with `store:` of an index's configuration, and the `backends:` that the store is in.
 *
 * Rule: what is wrong with the store itself the index says at its start; here is said what no index could say.
 */

import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse } from 'yaml';
import { StartError } from '../../platform/lifecycle/errors.ts';

/** What an index's configuration says of where its state is, and of where tags rest beyond it. */
export type StoreOfUp = {
  /** Several processes may have it. */
  readonly shared: boolean;
  readonly config: Readonly<Record<string, unknown>>;
};

/** `backends`: the file of `--backends`, which each index extends unless its store is a bucket: that may have none beside it. */
export function indexStore(named: string | undefined, backends: string | undefined): StoreOfUp {
  const backed = backends === undefined ? {} : { extends: backends };
  if (named === undefined) return { shared: false, config: backed };
  if (/^postgres(ql)?:/.test(named))
    return { shared: true, config: { ...backed, store: { kind: 'postgres', url: named } } };
  const store = storeIn(named);
  const shared = store.kind !== 'sqlite';
  if (backends === undefined || store.kind === 'bucket') return { shared, config: { extends: resolve(named) } };
  return { shared, config: { ...backed, store } };
}

function storeIn(file: string): { readonly kind: unknown } {
  if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true)
    throw new StartError(
      `--store ${file}: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, or a YAML file with \`store:\` of an index (docs/index.md)`,
    );
  const { store } = (yamlIn(file) ?? {}) as { store?: { kind?: unknown } | null };
  if (typeof store === 'object' && store !== null && store.kind !== undefined) return { ...store, kind: store.kind };
  throw new StartError(`--store ${file}: has no \`store:\` with a \`kind:\` (docs/index.md)`);
}

function yamlIn(file: string): unknown {
  try {
    return parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new StartError(`--store ${file}: ${(error as Error).message.split('\n')[0]}`);
  }
}

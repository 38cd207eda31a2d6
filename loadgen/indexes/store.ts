/**
 * `--store` of a load on real index processes: which engine they have.
 *
 * `sqlite`; `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; or a file of YAML with the keys `store` and `backends` of an
 * index's configuration.
 */

import { readFileSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { parse } from 'yaml';
import type { Target } from '../../harness/relay.ts';

export type Engine = {
  readonly name: string;
  /** Several index processes may have it. */
  readonly shared: boolean;
  /** Where it listens, if that is one place. */
  readonly at: Target | undefined;
  /** The keys of the configuration; `port` in place of the engine's own. */
  readonly config: (port: number | undefined) => Readonly<Record<string, unknown>>;
};

const postgresPort = 5432;

export function engineOf(text: string): Engine {
  if (text === 'sqlite') return { name: 'sqlite', shared: false, at: undefined, config: () => ({}) };
  if (/^postgres(ql)?:/.test(text)) return postgres(text);
  const said = fileOf(text);
  const kind = (said?.['store'] as { kind?: unknown } | undefined)?.kind;
  if (said === undefined || typeof kind !== 'string')
    throw new InvalidArgumentError('expected sqlite, postgres://… or a YAML file with `store:` of an index in it.');
  return { name: kind, shared: kind !== 'sqlite', at: undefined, config: () => said };
}

function postgres(text: string): Engine {
  if (!URL.canParse(text)) throw new InvalidArgumentError('expected postgres://USER:PASSWORD@HOST:PORT/DATABASE.');
  const url = new URL(text);
  const port = url.port === '' ? postgresPort : Number(url.port);
  const config = (instead: number | undefined) => {
    const through = new URL(text);
    if (instead !== undefined) through.host = `127.0.0.1:${instead}`;
    // A load has tables of its own.
    const schema = `loadgen_${process.pid}`;
    return { store: { kind: 'postgres', url: through.href, schema } };
  };
  return { name: 'postgres', shared: true, at: { host: url.hostname, port }, config };
}

function fileOf(path: string): Record<string, unknown> | undefined {
  try {
    const said: unknown = parse(readFileSync(path, 'utf8'));
    return typeof said === 'object' && said !== null ? (said as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * `--store` of a load on real index processes: which engine they have.
 *
 * `sqlite`; `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; or a file of YAML with the keys `store` and `backends` of an
 * index's configuration. A bucket of S3 at an `endpoint` of plain HTTP is reached through a relay, as PostgreSQL is.
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

/** The engine's own process, of whoever started it. */
export type EngineServer = {
  /** SIGSTOP or SIGCONT to it and its children. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
  /** kill -9, and up again. */
  kill(): Promise<void>;
  start(): Promise<void>;
};

const postgresPort = 5432;

export function engineOf(text: string): Engine {
  if (text === 'sqlite') return { name: 'sqlite', shared: false, at: undefined, config: () => ({}) };
  if (/^postgres(ql)?:/.test(text)) return postgres(text);
  const said = fileOf(text);
  const kind = (said?.['store'] as { kind?: unknown } | undefined)?.kind;
  if (said === undefined || typeof kind !== 'string')
    throw new InvalidArgumentError('expected sqlite, postgres://… or a YAML file with `store:` of an index in it.');
  return kind === 'bucket'
    ? bucket(said)
    : { name: kind, shared: kind !== 'sqlite', at: undefined, config: () => said };
}

type Said = Readonly<Record<string, unknown>>;

function bucket(said: Said): Engine {
  const store = said['store'] as Said;
  const backends = (said['backends'] ?? []) as readonly Said[];
  const s3 = backends.find(({ name }) => name === store['backend'])?.['s3'] as Said | undefined;
  const endpoint = URL.parse(String(s3?.['endpoint']));
  const at =
    endpoint?.protocol === 'http:' ? { host: endpoint.hostname, port: Number(endpoint.port || 80) } : undefined;
  const config = (instead: number | undefined): Said => ({
    // A load has a prefix of its own: what was there before is not in its histories.
    store: { prefix: `loadgen-${process.pid}/`, ...store },
    backends: backends.map((rule) =>
      instead === undefined || rule['s3'] !== s3
        ? rule
        : { ...rule, s3: { ...s3, endpoint: `http://127.0.0.1:${instead}` } },
    ),
  });
  return { name: 'bucket', shared: true, at, config };
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

function fileOf(path: string): Said | undefined {
  try {
    const said: unknown = parse(readFileSync(path, 'utf8'));
    return typeof said === 'object' && said !== null ? (said as Said) : undefined;
  } catch {
    return undefined;
  }
}

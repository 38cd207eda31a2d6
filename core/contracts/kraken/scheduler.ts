/**
 * What Kraken's agents and origins have for experiments on the port of their HTTP server: whom they want nothing of, and
 * settings of the running process.
 *
 * Rule: settings are Kraken's scheduler configuration as JSON, with Go's names or those of its YAML. What has a setting here
 *       is taken; what is left at zero asks for nothing; anything else is refused by name, and then nothing is changed.
 */

import { field, fields, flag, listOf, Malformed, type Parser, record, text, whole } from '../parse.ts';
import { route } from '../route.ts';

/** As core/swarm/limits.ts has them, and room. */
const bannedMax = 10_000;

/**
 * The name of a peer, or its address where its name is not known; nothing, since a ban is of a peer, and not of a peer for one
 * blob; nanoseconds.
 */
const banned = record({ peer_id: text(256, 1), info_hash: text(0), remaining: whole(Number.MAX_SAFE_INTEGER) });

/** Bits a second; absent: no limit. */
export type SchedulerSettings = {
  /** Absent: nothing is said of it. */
  readonly conn?: {
    readonly bandwidth: {
      readonly enable: boolean;
      readonly egress_bits_per_sec?: number | undefined;
      readonly ingress_bits_per_sec?: number | undefined;
    };
  };
};

const bits = whole(Number.MAX_SAFE_INTEGER);
/** By its name without underscores, in lower case: Go's JSON and Kraken's YAML write them differently. The size of a token is of no account here. */
const bandwidth: Parser<NonNullable<SchedulerSettings['conn']>['bandwidth']> = (value) => {
  const of = fields(value);
  const enable = field(of, 'enable', (on) => (on === undefined ? false : flag(on)));
  if (!enable) return { enable };
  return {
    enable,
    egress_bits_per_sec: field(of, 'egressbitspersec', bits),
    ingress_bits_per_sec: field(of, 'ingressbitspersec', bits),
  };
};
const OF_BANDWIDTH: ReadonlySet<string> = new Set(['enable', 'egressbitspersec', 'ingressbitspersec', 'tokensize']);
/** What says how much is logged; here that is `log.level`. */
const LOGS: ReadonlySet<string> = new Set(['log', 'torrentlog']);
/** What we do anyway. */
const ALIKE: Readonly<Record<string, unknown>> = { 'dispatch.piecerequestpolicy': 'rarest_first' };
/** Deeper than Kraken's own. */
const depthMax = 8;
/** Settings that a refusal names, and characters of each. */
const [namedMax, nameMax] = [8, 40];

const scheduler: Parser<SchedulerSettings> = (value) => {
  const others: string[] = [];
  const found: Record<string, unknown> = {};
  walk(fields(value), [], (path, leaf) => {
    const name = path.join('.').replaceAll('_', '').toLowerCase();
    const [, of] = /^conn\.bandwidth\.([a-z]+)$/.exec(name) ?? [];
    if (of !== undefined && OF_BANDWIDTH.has(of)) found[of] = leaf;
    else if (!nothing(leaf) && ALIKE[name] !== leaf && !LOGS.has(name.split('.')[0] as string))
      others.push(path.join('.'));
  });
  if (others.length > 0) throw new Malformed(`names what is no setting here: ${shown(others)} (docs/kraken.md)`);
  if (Object.keys(found).length === 0) return {};
  const conn = record({ bandwidth });
  return { conn: field({ conn: { bandwidth: found } }, 'conn', conn) };
};

function walk(value: unknown, path: readonly string[], leaf: (path: readonly string[], value: unknown) => void): void {
  const inner = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!inner || path.length >= depthMax) return leaf(path, value);
  for (const [key, one] of Object.entries(value)) walk(one, [...path, key], leaf);
}

/** Go writes so what was not set. */
function nothing(value: unknown): boolean {
  return (
    value === null || value === 0 || value === false || value === '' || (Array.isArray(value) && value.length === 0)
  );
}

function shown(paths: readonly string[]): string {
  const more = paths.length > namedMax ? ` and ${paths.length - namedMax} more` : '';
  return (
    paths
      .slice(0, namedMax)
      .map((path) => path.slice(0, nameMax))
      .join(', ') + more
  );
}

export const KRAKEN_HOST = {
  blacklist: route('GET', '/x/blacklist', {
    reply: listOf(banned, bannedMax),
  }),
  /** 200, they hold until the process ends; 400. */
  scheduler: route('PATCH', '/x/config/scheduler', { body: scheduler }),
} as const;

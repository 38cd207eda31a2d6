/**
 * A kind of backend as a value: what a rule may say of it, and how it is opened. Each kind has one in a file beside its
 * code, which it loads only when it is opened: a process whose configuration names no backend never loads one.
 */

import type * as z from 'zod';
import type { Env } from '../config/yaml.ts';
import type { Clock } from '../net/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Backend } from './backend.ts';
import type { KeyLayout } from './layout.ts';

/** What every kind is opened with, beside its own settings. */
export type Opening = {
  /** As the configuration calls the backend: in messages and metrics. */
  readonly name: string;
  /** A call in which nothing moves for so long ends as `stalled`. */
  readonly stallMs: number;
  /** Others write there as well: whatever a probe does, it removes nothing. */
  readonly shared?: boolean | undefined;
  /** Of the process: proxies, profiles, roles. */
  readonly env: Env;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
};

/**
 * What a kind can hold: blobs, and links, tags and records beside them; blobs alone (tags then rest in the index, or where
 * the rule's `tags` says); tags alone (only a rule's `tags` may name it).
 */
export type Holds = 'all' | 'blobs' | 'tags';

/**
 * How what a kind keeps is called. One that keeps any key at all has `paths`: which keys, the rule says (`keys`). Of another
 * one `layout` says it, as far as it is not the registry's: where it does not matter, it may say nothing.
 */
export type KeysOf<Settings> = {
  readonly paths?: boolean | ((settings: Settings) => boolean);
  readonly layout?: (settings: Settings) => Partial<KeyLayout>;
  /** What of a rule's repositories cannot be there, a sentence each. */
  readonly problems?: (settings: Settings, patterns: readonly string[]) => readonly string[];
  /** It is never written, whatever it is opened with. */
  readonly readOnly?: boolean;
};

export type BackendKind = {
  readonly schema: z.ZodType;
  readonly holds: Holds;
  readonly readOnly: boolean;
  readonly paths: (settings: unknown) => boolean;
  readonly layout?: ((settings: unknown) => Partial<KeyLayout>) | undefined;
  readonly problems: (settings: unknown, patterns: readonly string[]) => readonly string[];
  /** Reaches nobody yet: that is what `probe` is for, so that a backend that is down keeps no role from starting. */
  readonly open: (settings: unknown, opening: Opening) => Promise<Backend>;
};

/** A kind whose `open` takes what its schema gives. It has paths where it holds all and brings no layout, unless said. */
export function kind<S extends z.ZodType>(
  schema: S,
  open: (settings: z.output<S>, opening: Opening) => Promise<Backend>,
  holds: Holds = 'all',
  { layout, problems, readOnly = false, paths = holds === 'all' && layout === undefined }: KeysOf<z.output<S>> = {},
): BackendKind {
  return {
    schema,
    holds,
    readOnly,
    paths: (settings) => (typeof paths === 'boolean' ? paths : paths(settings as z.output<S>)),
    layout: layout && ((settings) => layout(settings as z.output<S>)),
    problems: (settings, patterns) => problems?.(settings as z.output<S>, patterns) ?? [],
    open: (settings, opening) => open(settings as z.output<S>, opening),
  };
}

/**
 * Units as people write them in a configuration file, as zod types: sizes, rates, durations, addresses.
 *
 * Rule 1: what comes out is bytes, bytes per second, milliseconds, or { host, port }.
 * Rule 2: `parse…` functions return undefined for what they do not understand; the zod types name it.
 * Rule 3: a default is given as text, as the user would write it, and goes through the same parser; so are bounds.
 * Rule 4: nothing of a quantity is no quantity: 0 is refused unless `min` says otherwise.
 */

import { isIP } from 'node:net';
import * as z from 'zod';
import { hostBytesMax } from '../../core/wire/limits.ts';
import type { Endpoint } from '../net/net.ts';

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
const BIT_UNITS: Readonly<Record<string, number>> = { bit: 1, kbit: 1e3, Kbit: 1e3, Mbit: 1e6, Gbit: 1e9, Tbit: 1e12 };
const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1e3,
  m: 60e3,
  min: 60e3,
  h: 3_600e3,
  d: 86_400e3,
};

function scaled(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  if (match === null) return undefined;
  const unit = match[2] ?? '';
  if (!Object.hasOwn(units, unit)) return undefined;
  const value = Math.round(Number(match[1]) * (units[unit] ?? Number.NaN));
  return Number.isSafeInteger(value) ? value : undefined;
}

/** `4MiB`, `300MB`, `1024` -> bytes. */
export function parseSize(text: string): number | undefined {
  return scaled(text, SIZE_UNITS);
}

/** `300MB/s`, `200Mbit/s` -> bytes per second. */
export function parseRate(text: string): number | undefined {
  const trimmed = text.trim();
  if (!trimmed.endsWith('/s')) return undefined;
  const amount = trimmed.slice(0, -2);
  const bits = scaled(amount, BIT_UNITS);
  return bits === undefined ? scaled(amount, SIZE_UNITS) : Math.floor(bits / 8);
}

/** `30s`, `250ms`, `1h` -> milliseconds. A bare number is refused: its unit would be a guess. */
export function parseDuration(text: string): number | undefined {
  return /[a-z]/.test(text) ? scaled(text, DURATION_UNITS) : undefined;
}

/** `h:1`, `10.0.0.1:80`, `[::1]:1` -> { host, port }; the host without brackets. */
export function parseHostPort(text: string): Endpoint | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.%a-z]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text.trim());
  if (match === null) return undefined;
  const port = Number(match[3]);
  return port > 65_535 ? undefined : { host: (match[1] ?? match[2]) as string, port };
}

/** Reads text or a number, gives a T. Without a default the key is required, though the type says it may be absent. */
type Unit<T> = z.ZodPrefault<z.ZodType<T, string | number>>;
type Parser<T> = (text: string) => T | undefined;
/** As a user would write them. `why` is the reason of `min`, for the message. */
export type Bounds = { readonly min?: string; readonly max?: string; readonly why?: string };

/** Timers take 31 bits of milliseconds, and a longer one would fire at once. */
const durationBounds: Bounds = { min: '1ms', max: '24d' };
const sizeBounds: Bounds = { min: '1B', max: '8000TiB' };
const rateBounds: Bounds = { min: '1B/s', max: '8000TB/s' };

/** A zod type for text that `parser` understands; `example` completes the sentence "expected …". */
function parsed<T>(parser: Parser<T>, example: string, numbers: boolean): z.ZodType<T, string | number> {
  return z.union([z.string(), z.number()]).transform((given, ctx): T => {
    const usable = typeof given === 'string' || numbers;
    const value = usable ? parser(String(given)) : undefined;
    if (value !== undefined) return value;
    ctx.addIssue({ code: 'custom', message: `expected ${example}, got ${JSON.stringify(given)}` });
    return z.NEVER;
  });
}

/** The same for a number that has bounds. */
function measured(parser: Parser<number>, example: string, bounds: Bounds): z.ZodType<number, string | number> {
  const limitOf = (text: string | undefined) => (text === undefined ? undefined : parser(text)) as number;
  const [min, max] = [limitOf(bounds.min), limitOf(bounds.max)];
  const why = bounds.why === undefined ? '' : ` (${bounds.why})`;
  return z.union([z.string(), z.number()]).transform((given, ctx): number => {
    const value = parser(String(given));
    const problem =
      value === undefined
        ? `expected ${example}`
        : value < min
          ? `expected at least ${bounds.min}${why}`
          : value > max
            ? `expected at most ${bounds.max}`
            : undefined;
    if (value !== undefined && problem === undefined) return value;
    ctx.addIssue({ code: 'custom', message: `${problem}, got ${JSON.stringify(given)}` });
    return z.NEVER;
  });
}

/** A size in bytes, by default more than none. Without a default the key is required. */
export const size = (fallback?: string, bounds: Bounds = {}) =>
  withDefault(measured(parseSize, 'a size such as 4MiB or 300MB', { ...sizeBounds, ...bounds }), fallback);
/** A rate in bytes per second, by default more than none. */
export const rate = (fallback?: string, bounds: Bounds = {}) =>
  withDefault(measured(parseRate, 'a rate such as 300MB/s or 200Mbit/s', { ...rateBounds, ...bounds }), fallback);
/** A duration in milliseconds, by default more than none. */
export const duration = (fallback?: string, bounds: Bounds = {}) =>
  withDefault(measured(parseDuration, 'a duration such as 30s or 250ms', { ...durationBounds, ...bounds }), fallback);

/** How full a disk is: percent that are used, or bytes that are free. */
export const diskMark = () =>
  parsed(parseDiskMark, 'how full a disk is, such as 90%, or how much of it is free, such as 50GB', false);

function parseDiskMark(text: string): { readonly percent: number } | { readonly freeBytes: number } | undefined {
  const percent = Number(/^(\d{1,2}(?:\.\d+)?)\s*%$/.exec(text.trim())?.[1]);
  if (percent > 0) return { percent };
  const freeBytes = parseSize(text);
  return freeBytes === undefined || freeBytes === 0 ? undefined : { freeBytes };
}

/** In zod 4 `default` would skip the parser; `prefault` goes through it. */
function withDefault<T>(type: z.ZodType<T, string | number>, fallback?: string): Unit<T> {
  return (fallback === undefined ? type : type.prefault(fallback)) as Unit<T>;
}

function parsePort(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined;
}

/** A TCP port; 0 lets the system choose. Text of digits is taken too, since `"${PORT}"` gives text. */
export const port = (fallback?: number) =>
  withDefault(parsed(parsePort, 'a port from 0 to 65535', true), fallback === undefined ? undefined : String(fallback));

/** Without query, fragment and user: what would be dropped is refused. Nobody can be reached at port 0. */
function parseBaseUrl(text: string): string | undefined {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '' || url.port === '0')
    return undefined;
  return (url.origin + url.pathname).replace(/\/+$/, '');
}

/** The base URL of a component, `http://host:port`, without a slash at the end. */
export const baseUrl = (fallback?: string) =>
  withDefault(parsed(parseBaseUrl, 'a URL such as http://127.0.0.1:15003', false), fallback);

/** An address or a name; an IPv6 address without brackets. */
export const hostName = () =>
  z
    .string()
    .max(hostBytesMax)
    .regex(/^[A-Za-z0-9._:%-]+$/, 'expected an address or a host name');

function parseNetwork(text: string): string | undefined {
  const [address = '', bits, ...more] = text.split('/');
  const bitsMax = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  const fits = bits === undefined ? bitsMax > 0 : /^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax;
  return fits && more.length === 0 ? text : undefined;
}

/** An address, or a network of them. */
export const network = () => withDefault(parsed(parseNetwork, 'an address or a network such as 10.0.0.0/8', false));

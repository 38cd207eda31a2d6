/**
 * Where a process listens, as people write it: an address, several, unix sockets; and from where it may be reached.
 *
 * Rule 1: `{ host, port }` of the first address is there whatever form was written: port 0 and no host where there are only
 *         sockets. Everything else is there only where it was said.
 * Rule 2: `allow` says who is let in, and an empty list would be nobody: it is refused. Sockets are files: their mode says who.
 */

import * as z from 'zod';
import type { DoorPlace, Endpoint, SocketFile } from '../net/net.ts';
import { hostName, network, parseHostPort, port } from './units.ts';

export type Listens = Endpoint & {
  /** Beside host and port. */
  readonly also?: readonly DoorPlace[] | undefined;
  /** Addresses and networks that may connect. Left out: all. */
  readonly allow?: readonly string[] | undefined;
};

/** A listener is a table entry and a socket: more than a few are a mistake. */
const placesMax = 16;
const networksMax = 1_024;
/** What the kernel takes for the path of a socket. */
const socketPathBytesMax = 107;
/** For its owner and its group. */
const modeDefault = '660';
const scheme = 'unix:';

/** Networks that may connect. */
export const allowShape = {
  allow: z
    .array(network())
    .min(1, 'nobody would be let in: leave it out, or name somebody')
    .max(networksMax)
    .optional(),
} as const;

const place = z
  .string()
  .max(4_096)
  .transform((text, ctx): Endpoint | { readonly socket: string } => {
    const found = text.startsWith(scheme) ? socketPlace(text.slice(scheme.length)) : parseHostPort(text);
    if (found !== undefined) return found;
    ctx.addIssue({
      code: 'custom',
      message: `expected host:port, or unix:/absolute/path, got ${JSON.stringify(text)}`,
    });
    return z.NEVER;
  });

function socketPlace(path: string): { readonly socket: string } | undefined {
  const fits = path.startsWith('/') && !path.includes('\0') && Buffer.byteLength(path) <= socketPathBytesMax;
  return fits ? { socket: path } : undefined;
}

const mode = z
  .string()
  .regex(/^0?[0-7]{3}$/, "expected the mode of a file, in quotes, such as '0660'")
  .prefault(modeDefault)
  .transform((text) => Number.parseInt(text, 8));

const map = (fallbackPort: number, fallbackHost: string) =>
  z.strictObject({
    host: hostName().prefault(fallbackHost),
    port: port(fallbackPort),
    /** Beside host and port: host:port, unix:/path. */
    also: z.array(place).max(placesMax).optional(),
    /** Of unix sockets. */
    mode,
    ...allowShape,
  });

/** `{ host, port, also, allow, mode }`, `host:port`, or a list of these and of `unix:/path`. `localhost`: 127.0.0.1 and ::1. */
export const listenWhere = (fallbackPort: number, fallbackHost = '127.0.0.1') =>
  z
    .union([place.transform((one) => [one]), z.array(place).min(1).max(placesMax), map(fallbackPort, fallbackHost)])
    .transform(listensOf);

/** The same, and by default on loopback. */
export const listenAt = (fallbackPort: number, fallbackHost?: string) =>
  listenWhere(fallbackPort, fallbackHost).prefault({});

type Written = readonly (Endpoint | { readonly socket: string })[];

function listensOf(said: Written | z.output<ReturnType<typeof map>>): Listens {
  const moded = modeOf(said);
  const places = (written: Written): DoorPlace[] =>
    written.map((one): DoorPlace => ('socket' in one ? { ...one, mode: moded } : one));
  if ('port' in said) {
    const { host, port: at, also, allow } = said;
    return { host, port: at, ...(also && { also: places(also) }), ...(allow && { allow }) };
  }
  const all = places(said);
  const first = all.find((one): one is Endpoint => 'port' in one);
  const also = all.filter((one) => one !== first);
  return { ...(first ?? { host: '', port: 0 }), ...(also.length > 0 && { also }) };
}

function modeOf(said: Written | { readonly mode: number }): number {
  return 'mode' in said ? said.mode : Number.parseInt(modeDefault, 8);
}

/** All that it listens on, in order. */
export function placesListened({ host, port: at, also = [] }: Listens): DoorPlace[] {
  return host === '' ? [...also] : [{ host, port: at }, ...also];
}

/** Those of its sockets. */
const isSocket = (one: DoorPlace): one is SocketFile => 'socket' in one;

const loopback: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '::1']);

/** Nobody reaches it but from this host. */
export function isLocal(listens: Listens): boolean {
  return placesListened(listens).every((one) => isSocket(one) || loopback.has(one.host) || one.host.startsWith('127.'));
}

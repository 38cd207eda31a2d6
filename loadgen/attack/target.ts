/** What is attacked, and how one of the attacks is written. */

import type { Role } from '../../platform/config/common.ts';
import type { AttackName } from './options.ts';
import type { Wire } from './wire.ts';

export type Target = {
  /** Role and port: `proxy registry`. */
  readonly name: string;
  readonly role: Role;
  readonly kind: 'http' | 'peer';
  readonly port: number;
  /** A POST that takes JSON there, and a GET. */
  readonly post: string;
  readonly get: string;
};

export type Attacking = { readonly wire: Wire; readonly on: Target; readonly connections: number };

export type Attack = {
  readonly kinds: readonly Target['kind'][];
  /** Goes on until the signal of `wire`, or ends by itself. */
  readonly run: (attacking: Attacking) => Promise<void>;
};

export type Attacks = Partial<Readonly<Record<AttackName, Attack>>>;

/** The first lines of a request. */
export function head(method: string, path: string, more: readonly string[] = []): string {
  return [`${method} ${path} HTTP/1.1`, 'host: shoal', ...more, '', ''].join('\r\n');
}

/** Again and again until the signal. */
export async function untilEnd({ wire }: Attacking, each: (round: number) => Promise<unknown>): Promise<void> {
  for (let round = 0; !wire.signal.aborted; round++) await each(round);
}

/**
 * Certificates of a run: in some seeds trackers know who calls, as by TLS, and take of hosts only what these may say of
 * themselves (tracker/own.ts). Who calls is told by the host that the connection comes from.
 */

import { randomBytes } from 'node:crypto';
import { markDigits, notOwn } from '../../../core/access/announce.ts';
import type { CallerIdentity, VerifiedCaller } from '../../../core/access/identity.ts';
import type { PeerAddress } from '../../../core/wire/messages.ts';
import { hostName } from '../peers/net.ts';

/** One seed in sixteen: the others' traces are as they were. */
export function certified(seed: number): boolean {
  return seed % 16 === 15;
}

export class Certificates {
  readonly #roles = new Map<number, 'agent' | 'origin'>();

  give(host: number, role: 'agent' | 'origin'): void {
    this.#roles.set(host, role);
  }

  /** Who has that address (http/wire.ts). */
  of(address: string | undefined): VerifiedCaller | undefined {
    const [, high = '', low = ''] = /^10\.1\.(\d+)\.(\d+)$/.exec(address ?? '') ?? [];
    const host = Number(high) * 256 + Number(low);
    const role = this.#roles.get(host);
    if (address === undefined || role === undefined) return undefined;
    const name = hostName(host);
    return { cluster: 'fuzz', role, name, sans: [name], untilMs: Number.POSITIVE_INFINITY, address };
  }

  /** A node of that host's, another at each start. */
  nodeOf(host: number): string {
    return markOf(hostName(host)) + randomBytes((32 - markDigits) / 2).toString('hex');
  }

  /** Whether a node of that name is that host's to speak for. */
  owns(host: number, node: string): boolean {
    return node.startsWith(markOf(hostName(host)));
  }

  readonly notOwn = (caller: CallerIdentity, self: Pick<PeerAddress, 'role' | 'node'>): string | undefined =>
    notOwn(caller, self, markOf(caller.name));
}

function markOf(name: string): string {
  return Buffer.from(name).toString('hex').padStart(markDigits, 'c');
}

/**
 * What somebody with a certificate may say of itself, to trackers and to peers: its own role, a node of its own, its own
 * address.
 *
 * A node's id begins with the mark of its identity, a hash of it, and ends with what is drawn at each start: so nobody
 * takes another one's place, a certificate may be renewed while its node lives, and those that share a certificate are
 * nodes of one mark, told apart by nothing else.
 */

import type { PeerAddress } from '../wire/messages.ts';
import { type CallerIdentity, identityText, type VerifiedCaller } from './identity.ts';

/** Hex digits of a node's 32. */
export const markDigits = 16;

/** Why that is not what the caller may say of itself; undefined: it is. `mark`: of the caller. */
export function notOwn(
  { role, name }: CallerIdentity,
  self: Pick<PeerAddress, 'role' | 'node'>,
  mark: string,
): string | undefined {
  if (self.role !== role)
    return `it says to be an ${self.role}, and its certificate is of ${identityText({ role, name })}`;
  if (!self.node.startsWith(mark)) return `${self.node} is no node of ${identityText({ role, name })}`;
  return undefined;
}

/**
 * Why `host` is no address of the caller's: neither where it called from nor one of its certificate's. A certificate that
 * names none of that kind, which hosts may share, leaves it open.
 */
export function notItsAddress({ sans, address }: VerifiedCaller, host: string): string | undefined {
  const named = sans.filter((san) => isAddress(san) === isAddress(host));
  if (named.length === 0 || host === address || named.includes(host)) return undefined;
  return `${host} is neither where it called from (${address}) nor in its certificate (${named.join(', ').slice(0, 200)})`;
}

/**
 * Why it is none of those that were called by one of these names: its certificate names some of their kind, and none of them.
 * One that names none of that kind, which processes may share, leaves it open.
 */
export function notCalledBy({ sans, ...who }: VerifiedCaller, names: readonly string[]): string | undefined {
  const called = names.map((name) => name.toLowerCase().replace(/^\[|\]$/g, ''));
  const named = sans.filter((san) => called.some((name) => isAddress(name) === isAddress(san)));
  if (named.length === 0 || called.some((name) => named.some((san) => covers(san.toLowerCase(), name))))
    return undefined;
  return `it is ${identityText(who)}, whose certificate is for ${sans.join(', ').slice(0, 200)}, and not for ${called.join(' or ')}`;
}

/** `*` stands for the first part of a name, as in RFC 9525 (6.3). */
function covers(san: string, name: string): boolean {
  return san === name || (san.startsWith('*.') && name.includes('.') && san.slice(1) === name.slice(name.indexOf('.')));
}

/**
 * The host, where the certificate is one host's own: it names an address. One without, or with names of DNS alone, hosts may
 * share, and that of their loopback tells them apart only for who is on the same machine.
 */
export function hostOf({ sans, address, role, name }: VerifiedCaller): string | undefined {
  const own = sans.some((san) => isAddress(san) && (san === address || !isLoopback(san)));
  return own ? identityText({ role, name }) : undefined;
}

/** The addresses of this machine for itself. */
export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

/** Rather than a name of DNS. */
function isAddress(host: string): boolean {
  return host.includes(':') || /^[\d.]+$/.test(host);
}

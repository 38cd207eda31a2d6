/** Bytes of peer addresses and digests, which several messages carry. */

import { assert } from '../assert.ts';
import { DIGEST_ALGORITHMS, type Digest, digestAlgorithm, digestHex, digestOf } from '../digest.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import { ALGORITHMS, PEER_ROLES } from './frames.ts';
import { hostBytesMax, hostPattern, peersPerFrameMax, zoneBytesMax } from './limits.ts';
import type { PeerAddress } from './messages.ts';

export const nodeBytes = 16;

export function writeAddress(to: ByteWriter, peer: PeerAddress): void {
  to.hex(peer.node, nodeBytes);
  to.u8(PEER_ROLES.indexOf(peer.role));
  assert(peer.port >= 0 && peer.port <= 0xffff, `wire: port ${peer.port} out of range`);
  to.u16(peer.port);
  assert(dialled(peer.host), `wire: '${peer.host}' is no host`);
  to.text(peer.host, hostBytesMax, 'host');
  to.text(peer.zone, zoneBytesMax, 'zone');
}

export function readAddress(from: ByteReader): PeerAddress {
  const node = from.hex(nodeBytes);
  const role = readOne(from, PEER_ROLES, 'role');
  const port = from.u16();
  const host = from.text(hostBytesMax, 'host');
  if (!dialled(host)) from.fault('host has characters that no host has');
  if (port !== 0 && host === '') from.fault('port without a host');
  return { node, host, port, role, zone: from.text(zoneBytesMax, 'zone') };
}

/** Empty where the peer cannot be dialled. */
function dialled(host: string): boolean {
  return host === '' || hostPattern.test(host);
}

export function writeAddresses(to: ByteWriter, peers: readonly PeerAddress[]): void {
  assert(peers.length <= peersPerFrameMax, 'wire: too many peers in a frame');
  to.u8(peers.length);
  for (const peer of peers) writeAddress(to, peer);
}

export function readAddresses(from: ByteReader): PeerAddress[] {
  const count = from.u8();
  if (count > peersPerFrameMax) from.fault('too many peers');
  const peers: PeerAddress[] = [];
  for (let i = 0; i < count; i++) peers.push(readAddress(from));
  return peers;
}

export function writeDigest(to: ByteWriter, digest: Digest): void {
  const algorithm = digestAlgorithm(digest);
  to.u8(ALGORITHMS.indexOf(algorithm));
  to.hex(digestHex(digest), DIGEST_ALGORITHMS[algorithm] / 2);
}

export function readDigest(from: ByteReader): Digest {
  const algorithm = readOne(from, ALGORITHMS, 'digest algorithm');
  if (algorithm === undefined) return from.fault('digest algorithm unknown');
  return digestOf(algorithm, from.hex(DIGEST_ALGORITHMS[algorithm] / 2));
}

/** One byte that is an index into `names`. */
export function readOne<T>(from: ByteReader, names: readonly T[], what: string): T {
  const index = from.u8();
  if (index >= names.length) from.fault(`${what} unknown`);
  return names[index] as T;
}

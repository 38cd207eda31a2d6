/** Whom a ban holds for, and what is counted together: a host's own certificate, or else where it calls from. */

import { expect, test } from 'vitest';
import type { VerifiedCaller } from '../../core/access/identity.ts';
import { defaultPolicy } from '../../core/swarm/policy.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import { VirtualClock } from '../net/clock.fixtures.ts';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { Guard } from './bans.ts';
import { acceptedPerAddressMax } from './limits.ts';
import { peerMetrics } from './metrics.ts';

const guard = (): Guard =>
  new Guard({ clock: new VirtualClock(), log: silentLog(), metrics: peerMetrics(new Metrics()), times: defaultPolicy });

const caller = (name: string, address: string, sans: readonly string[]): VerifiedCaller => ({
  ...{ cluster: 'c', role: 'agent', name, sans, address },
  untilMs: Number.POSITIVE_INFINITY,
});
const peer = (node: string): PeerAddress => ({ node: node.repeat(32), host: 'x', port: 1, role: 'agent', zone: '' });

/** A link that came, of the host `n` behind `address`. */
function link(address: string, who?: VerifiedCaller, node?: string) {
  const whoIs = who && ((): VerifiedCaller => who);
  const remote = { host: address, port: 1 };
  return {
    incoming: { remote, whoIs },
    link: { dialled: false, remote: `${address}:1`, address, peer: node === undefined ? undefined : peer(node), whoIs },
  };
}

test('a host with a certificate of its own is banned by it, whatever node and address it has next', () => {
  const bans = guard();
  const host = (address: string, node?: string) => link(address, caller('h', address, ['10.0.0.1']), node);
  bans.blame(host('10.0.0.1', 'a').link, 'piece: wrong length');
  expect(bans.refusal(host('10.0.0.1').incoming, [])).toBe('banned');
  expect(bans.refusal(host('10.9.9.9').incoming, [])).toBe('banned');
  expect(bans.bansPeer(peer('b').node, host('10.9.9.9').link)).toBe(true);
  const other = link('10.0.0.1', caller('i', '10.0.0.1', ['10.0.0.2']));
  expect(bans.refusal(other.incoming, [])).toBeUndefined();
  expect(bans.list().map(({ node }) => node)).toEqual(['agent/h', peer('a').node]);
});

test('a certificate that hosts share bans nobody else: their nodes and addresses are told apart', () => {
  const bans = guard();
  const pod = (address: string, node?: string) => link(address, caller('pods', address, ['shoal-agent']), node);
  bans.blame(pod('10.0.0.1', 'a').link, 'piece: wrong length');
  bans.blame(pod('10.0.0.1').link, 'hello: nobody');
  expect(bans.refusal(pod('10.0.0.2').incoming, [])).toBeUndefined();
  expect(bans.refusal(pod('10.0.0.1').incoming, [])).toBe('banned');
  expect(bans.bansPeer(peer('b').node, pod('10.0.0.2').link)).toBe(false);
});

test('links of an address are counted by host where hosts have certificates', () => {
  const nat = '192.0.2.1';
  const of = (name: string) => link(nat, caller(name, nat, ['10.0.0.1']));
  const held = Array.from({ length: acceptedPerAddressMax }, () => of('h').link);
  expect(guard().refusal(of('h').incoming, held)).toBe('address');
  expect(guard().refusal(of('i').incoming, held)).toBeUndefined();
  const plain = Array.from({ length: acceptedPerAddressMax }, () => link(nat).link);
  expect(guard().refusal(link(nat).incoming, plain)).toBe('address');
});

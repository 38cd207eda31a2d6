/** Who may talk to us, and which of two links of one node stays. */

import { expect, test } from 'vitest';
import type { Digest } from '../../digest.ts';
import { testBlob } from '../testing/cluster.ts';
import { address, type Said, Solo } from '../testing/solo.ts';

const blob = testBlob(0, 8);

test('a banned node is not dialled, not greeted, and a ban grows', () => {
  const solo = new Solo();
  solo.seed(blob);
  const link = solo.accept(address(1));
  solo.say(link, { kind: 'grant', grant: 1, swarm: 0, piece: -1 });
  const again = solo.accept(address(1));
  expect(solo.sent(again, 'goodbye')?.reason).toBe('banned');
  solo.pass(10_001);
  const later = solo.accept(address(1));
  expect(solo.sent(later, 'goodbye')).toBeUndefined();
  solo.say(later, { kind: 'grant', grant: 1, swarm: 0, piece: -1 });
  solo.pass(10_001);
  expect(solo.sent(solo.accept(address(1)), 'goodbye')?.reason).toBe('banned');
});

test('another version, another cluster, ourselves, a message before hello', () => {
  const cases: [Said, string][] = [
    [{ kind: 'hello', version: 2, features: 0, cluster: 'test', self: address(1) }, 'version'],
    [{ kind: 'hello', version: 1, features: 0, cluster: 'other', self: address(1) }, 'cluster'],
    [{ kind: 'hello', version: 1, features: 0, cluster: 'test', self: address(0) }, 'duplicate'],
    [{ kind: 'close', swarm: 0 }, 'fault'],
  ];
  for (const [message, reason] of cases) {
    const solo = new Solo();
    solo.input({ kind: 'connected', link: 1, dialled: false });
    solo.say(1, message);
    expect(solo.sent(1, 'goodbye')?.reason).toBe(reason);
    expect(solo.swarm.totals.links).toBe(0);
  }
});

test('of two links of one node the first stays while it talks, the second wins when it is silent', () => {
  const solo = new Solo();
  solo.seed(blob);
  const first = solo.accept(address(1));
  const second = solo.accept(address(1));
  expect(solo.sent(second, 'goodbye')?.reason).toBe('duplicate');
  solo.pass(6_000);
  const third = solo.accept(address(1));
  expect(solo.sent(first, 'goodbye')?.reason).toBe('duplicate');
  expect(solo.sent(third, 'goodbye')).toBeUndefined();
});

test('a peer that fills its swarms is told the limit', () => {
  const solo = new Solo();
  const link = solo.accept(address(1));
  for (let swarm = 0; swarm <= 1024; swarm += 1) {
    const some = testBlob(swarm, 1);
    solo.seed(some);
    solo.say(link, { kind: 'open', swarm, digest: some.digest, token: 0, empty: false, needHashes: false });
  }
  expect(solo.allSent(link, 'refuse').map((m) => m.reason)).toEqual(['limit']);
});

test('an agent gives up what an origin took back; an origin that mends its copy does not (fuzz seed 567)', () => {
  for (const role of ['agent', 'origin'] as const) {
    for (const how of ['refuse', 'revoke'] as const) {
      const solo = new Solo({ role });
      const blob = testBlob(0, 4);
      const peer = address(1, 'origin');
      solo.pull(blob, [peer]);
      const link = solo.answer(peer);
      if (how === 'refuse') solo.say(link, { kind: 'refuse', swarm: 0, reason: 'revoked', peers: [] });
      else {
        solo.opened(link, blob, 'all');
        solo.say(link, { kind: 'revoke', swarm: 0 });
      }
      expect(solo.out.filter(({ kind }) => kind === 'revoked')).toHaveLength(role === 'agent' ? 1 : 0);
      expect(solo.faultOf(link)).toBeUndefined();
    }
  }
});

test('an unknown blob is refused as unknown, a revoked one as revoked', () => {
  const solo = new Solo();
  solo.seed(blob);
  solo.input({ kind: 'revoke', blob: 0 });
  const link = solo.accept(address(1));
  const digests = [blob.digest, 'sha256:00' as Digest];
  for (const [swarm, digest] of digests.entries()) {
    solo.say(link, { kind: 'open', swarm, digest, token: 0, empty: true, needHashes: true });
  }
  expect(solo.allSent(link, 'refuse').map((m) => m.reason)).toEqual(['revoked', 'unknown']);
});

/** What the tracker's contract says beyond the shape of its fields (routes.test.ts has these). */

import { describe, expect, test } from 'vitest';
import { testDigest, testGrowth, testMeta, testPeer } from '../handout/fixtures.ts';
import { ORIGIN } from './origin.ts';
import { type AnnounceReply, type AnnounceRequest, type Located, originsToldMax, TRACKER } from './tracker.ts';

const request: AnnounceRequest = {
  self: { ...testPeer(1), host: 'fe80::1%eth0' },
  entries: [
    { digest: testDigest(1), state: 'want', seek: 8 },
    { digest: testDigest(2), state: 'have', seek: 0, meta: testMeta(5) },
    { digest: testDigest(3), state: 'gone', seek: 0 },
  ],
  held: 2,
  reset: true,
};
const reply: AnnounceReply = {
  leaseMs: 30_000,
  intervalMs: 10_000,
  resync: true,
  origins: ['http://10.0.0.2:15002', 'https://origin-1.shoal.svc:15002/api', 'http://[fe80::1]:1'],
  answers: [
    {
      digest: testDigest(1),
      peers: [testPeer(2), testPeer(3, 'origin')],
      meta: testMeta(5),
      inline: 'aGVsbG8=',
      error: undefined,
    },
    { digest: testDigest(2), peers: [], meta: undefined, inline: undefined, error: 'unknown' },
  ],
};
const located: Located = { digest: testDigest(1), meta: testMeta(5), inline: 'aGVsbG8=' };
const over = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('the contract of the tracker', () => {
  test('unknown fields are dropped, so that newer peers can talk to older ones', () => {
    const more = {
      ...request,
      new: 1,
      self: { ...request.self, rack: 'r' },
      entries: [{ ...request.entries[0], x: 1 }],
    };
    expect(TRACKER.announce.body(over(more))).toEqual({ ...request, entries: [request.entries[0]] });
  });

  test('an interval so short that the announcer would spin is raised', () => {
    expect(TRACKER.announce.reply({ ...reply, intervalMs: 0 }, 'x')).toMatchObject({ intervalMs: 100 });
  });

  test('origins that hosts could not use are refused: none, too many, twice the same, no URL of HTTP', () => {
    // They look like URLs, and whoever made a client of one would throw.
    const noHosts = ['http://o1:65536', 'http://10.0.0.256:1', 'http://[::g]:1', 'http://:1'].map((url) => [url]);
    const many = Array.from({ length: originsToldMax + 1 }, (_, i) => `http://o${i}:1`);
    expect(TRACKER.announce.reply({ ...reply, origins: many.slice(1) }, 'x').origins).toHaveLength(originsToldMax);
    const one = 'http://o:1';
    const wrong = [[], many, [one, one], ['file:///etc'], ['http://'], [one, 1], one, {}, [`http://o/?x=${one}`]];
    for (const origins of [...wrong, [`http://${'o'.repeat(600)}`], ['http://a@b:1'], ['http://o\n'], ...noHosts])
      expect(() => TRACKER.announce.reply({ ...reply, origins }, 'x'), JSON.stringify(origins)).toThrow('origins');
  });

  test('what an origin says of a blob names a peer that can be dialled', () => {
    const info = { digest: testDigest(1), meta: testMeta(5), peer: testPeer(2, 'origin') };
    for (const wrong of [
      { port: 65_536 },
      { port: '1' },
      { host: 'a b' },
      { host: 1 },
      { host: '' },
      { node: 'x' },
      { role: 'tracker' },
    ])
      expect(() => ORIGIN.info.reply({ ...info, peer: { ...info.peer, ...wrong } }, 'x')).toThrow('peer.');
  });

  test('of several blobs, an answer of no shape is a failure of its own blob only', () => {
    const info = { digest: testDigest(1), meta: testMeta(5), peer: testPeer(2, 'origin') };
    for (const odd of ['text', 7, { error: null }, { error: 'x' }, { error: { code: 1, message: {} } }, {}, [], true]) {
      expect(ORIGIN.infos.reply({ infos: [info, odd, null] }, 'x').infos, JSON.stringify(odd)).toEqual([
        info,
        { error: { code: 'UNAVAILABLE', message: expect.any(String) } },
        null,
      ]);
    }
    const newer = { error: { code: 'OF_A_NEWER_ORIGIN', message: 'no' } };
    expect(ORIGIN.infos.reply({ infos: [newer] }, 'x').infos).toEqual([
      { error: { code: 'UNAVAILABLE', message: 'no' } },
    ]);
  });

  test('what is known of a blob that grows comes in place of its metainfo, and can be of such a blob', () => {
    const at = { digest: testDigest(1), peer: testPeer(2, 'origin') };
    const growth = testGrowth(9);
    const answer = { digest: at.digest, peers: [], growth };
    const reads: ((it: typeof growth) => unknown)[] = [
      (it) => ORIGIN.info.reply({ ...at, growth: it }, 'x'),
      (it) => TRACKER.locate.reply({ digest: at.digest, growth: it }, 'x'),
      (it) => TRACKER.announce.reply({ ...reply, answers: [{ ...answer, growth: it }] }, 'x').answers[0],
    ];
    for (const read of reads) {
      expect(read(growth)).toMatchObject({ growth });
      // All of its ten hashes are never known of a blob that grows; the others are no blob's.
      for (const wrong of [{ known: 10 }, { known: -1 }, { known: 0.5 }, { length: 0, known: 0 }, { pieceLength: 1 }])
        expect(() => read({ ...growth, ...wrong }), JSON.stringify(wrong)).toThrow('growth');
      expect(() => read({ ...growth, root: 'x' })).toThrow('growth');
    }
    expect(
      ORIGIN.infos.reply(
        {
          infos: [
            { ...at, growth },
            { ...at, growth: { ...growth, known: 10 } },
          ],
        },
        'x',
      ),
    ).toEqual({
      infos: [{ ...at, growth }, { error: { code: 'UNAVAILABLE', message: expect.stringContaining('growth') } }],
    });
  });

  test('a zone that the wire cannot carry is refused', () => {
    for (const zone of ['z\u00fcrich', 'a\n', 'z'.repeat(65)]) {
      expect(() => TRACKER.announce.body({ ...request, self: { ...request.self, zone } })).toThrow('self.zone');
    }
  });

  test('an inline blob above the limit, or no base64, is refused', () => {
    for (const inline of ['A'.repeat(30_000), 'aGVsbG8'])
      expect(() => TRACKER.locate.reply({ ...located, inline }, 'x')).toThrow('inline');
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AnnounceReply, type AnnounceRequest, type Located, originsToldMax } from '../contracts/tracker.ts';
import { testDigest, testMeta, testPeer } from '../handout/fixtures.ts';
import { parseAnnounce, parseInfo, parseLeave, parseLocated, parseReply } from './parse.ts';

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

describe('parse', () => {
  test('what the contract says goes through unchanged', () => {
    expect(parseAnnounce(over(request))).toEqual({ ok: true, value: request });
    expect(parseReply(over(reply))).toEqual({ ok: true, value: reply });
    expect(parseLocated(over(located))).toEqual({ ok: true, value: located });
    expect(parseLeave({ node: testPeer(1).node })).toEqual({ ok: true, value: { node: testPeer(1).node } });
  });

  test('unknown fields are dropped, so that newer peers can talk to older ones', () => {
    const more = {
      ...request,
      new: 1,
      self: { ...request.self, rack: 'r' },
      entries: [{ ...request.entries[0], x: 1 }],
    };
    expect(parseAnnounce(over(more))).toEqual({ ok: true, value: { ...request, entries: [request.entries[0]] } });
  });

  test('an interval so short that the announcer would spin is raised', () => {
    expect(parseReply({ ...reply, intervalMs: 0 })).toMatchObject({ value: { intervalMs: 100 } });
  });

  test('origins that hosts could not use are refused: none, too many, twice the same, no URL of HTTP', () => {
    // They look like URLs, and whoever made a client of one would throw.
    const noHosts = ['http://o1:65536', 'http://10.0.0.256:1', 'http://[::g]:1', 'http://:1'].map((url) => [url]);
    const many = Array.from({ length: originsToldMax + 1 }, (_, i) => `http://o${i}:1`);
    expect(parseReply({ ...reply, origins: many.slice(1) }).ok).toBe(true);
    const one = 'http://o:1';
    const wrong = [[], many, [one, one], ['file:///etc'], ['http://'], [one, 1], one, {}, [`http://o/?x=${one}`]];
    for (const origins of [...wrong, [`http://${'o'.repeat(600)}`], ['http://a@b:1'], ['http://o\n'], ...noHosts])
      expect(parseReply({ ...reply, origins }), JSON.stringify(origins)).toMatchObject({
        problem: expect.stringContaining('origins'),
      });
  });

  test('what an origin says of a blob names a peer that can be dialled', () => {
    const info = { digest: testDigest(1), meta: testMeta(5), peer: testPeer(2, 'origin') };
    for (const said of [info, { ...info, inline: 'aGVsbG8=' }])
      expect(parseInfo(over(said))).toEqual({ ok: true, value: said });
    expect(parseInfo({ ...info, inline: 7 }).ok).toBe(false);
    for (const wrong of [
      { port: 65_536 },
      { port: '1' },
      { host: 'a b' },
      { host: 1 },
      { node: 'x' },
      { role: 'tracker' },
    ])
      expect(parseInfo({ ...info, peer: { ...info.peer, ...wrong } })).toMatchObject({
        problem: expect.stringContaining('peer.'),
      });
    for (const wrong of [undefined, null, {}, [], { ...info, meta: {} }, { ...info, peer: undefined }])
      expect(parseInfo(wrong).ok).toBe(false);
  });

  test('a zone that the wire cannot carry is refused', () => {
    for (const zone of ['z\u00fcrich', 'a\n', 'z'.repeat(65)]) {
      expect(parseAnnounce({ ...request, self: { ...request.self, zone } })).toMatchObject({
        problem: expect.stringContaining('self.zone'),
      });
    }
  });

  test('an inline blob above the limit, or no base64, is refused', () => {
    expect(parseLocated({ ...located, inline: 'A'.repeat(30_000) })).toMatchObject({
      problem: expect.stringContaining('inline'),
    });
    expect(parseLocated({ ...located, inline: 'aGVsbG8' }).ok).toBe(false);
  });

  test('whatever comes, there is an answer; and one wrong field is enough for a no', () => {
    const parsers = [parseAnnounce, parseReply, parseLocated, parseLeave];
    fc.assert(
      fc.property(fc.anything(), (value) => {
        for (const parse of parsers) expect(typeof parse(value).ok).toBe('boolean');
      }),
    );
    const paths: (string | number)[][] = [];
    const walk = (value: unknown, path: (string | number)[]): void => {
      if (path.length > 0) paths.push(path);
      if (typeof value === 'object' && value !== null)
        for (const [key, inner] of Object.entries(value)) walk(inner, [...path, key]);
    };
    walk(over(request), []);
    const wrong = [null, Number.NaN, -1, 1.5, 'x y', [], [null], { a: 1 }, '__proto__', false];
    for (const path of paths) {
      for (const bad of wrong) {
        const copy = over(request) as Record<string | number, unknown>;
        const parent = path
          .slice(0, -1)
          .reduce<Record<string | number, unknown>>((at, key) => at[key] as Record<string | number, unknown>, copy);
        parent[path.at(-1)!] = bad;
        const empty = path.join() === 'entries' && Array.isArray(bad) && bad.length === 0;
        // `reset` is a flag: what is not true is false. A zone may be any text.
        const lenient =
          path.at(-1) === 'reset' ||
          (path.at(-1) === 'zone' && typeof bad === 'string') ||
          (path.at(-1) === 'host' && bad === '__proto__');
        expect(parseAnnounce(copy).ok, `${path.join('.')} = ${String(bad)}`).toBe(empty || lenient);
      }
    }
  });
});

import { afterEach, describe, expect, test } from 'vitest';
import { type AnnounceEntry, type Located, TRACKER } from '../core/contracts/tracker.ts';
import { testDigest, testMeta, testPeer } from '../core/handout/fixtures.ts';
import { FakeOrigin } from './testing/fake-origin.ts';
import { startTracker } from './testing/tracker.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const tracker = (...args: Parameters<typeof startTracker> extends [unknown, ...infer A] ? A : never) =>
  startTracker(stack, ...args);

const blob = testDigest(1);
const small = Buffer.from('{"schemaVersion":2}');
const want = (digest = blob, seek = 8): AnnounceEntry => ({ digest, state: 'want', seek });

test('agents are told of the origins, whatever they announce; origins are not', async () => {
  const origin = await new FakeOrigin(1).start(stack);
  const { announce } = await tracker([origin]);
  expect((await announce(testPeer(1), [])).origins).toEqual([origin.url]);
  expect((await announce(testPeer(2, 'origin'), [])).origins).toBeUndefined();
  const { toldAs } = await announce(testPeer(1), []);
  expect(await announce(testPeer(1), [], '10.0.0.1', toldAs)).not.toHaveProperty('origins');
  expect((await announce(testPeer(1), [], '10.0.0.1', 'other')).origins).toEqual([origin.url]);
});

describe('tracker: a cold blob', () => {
  test('a small one comes whole with the first answer', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    origin.hold(blob, small.length, small.toString('base64'));
    const { announce } = await tracker([origin]);
    const reply = await announce(testPeer(1), [want()]);
    expect(reply).toMatchObject({ leaseMs: 30_000, intervalMs: 10_000 });
    expect(reply.answers).toEqual([
      { digest: blob, meta: testMeta(small.length), peers: [origin.peer], inline: small.toString('base64') },
    ]);
  });

  test('a herd asks the origin once, and each gets neighbours', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    origin.hold(blob, 1e9);
    const { announce } = await tracker([origin]);
    const replies = await Promise.all(Array.from({ length: 50 }, (_, i) => announce(testPeer(i), [want()])));
    expect(origin.asked).toEqual([blob]);
    for (const [i, { answers }] of replies.entries()) {
      expect(answers[0]!.meta).toEqual(testMeta(1e9));
      expect(answers[0]!.peers).toHaveLength(8);
      expect(answers[0]!.peers.map((peer) => peer.node)).not.toContain(testPeer(i).node);
    }
  });

  test('unknown to every origin: unknown, for a moment only', async () => {
    const [one, two] = [await new FakeOrigin(1).start(stack), await new FakeOrigin(2).start(stack)];
    const { announce, pass } = await tracker([one, two]);
    expect((await announce(testPeer(1), [want()])).answers).toEqual([{ digest: blob, peers: [], error: 'unknown' }]);
    await announce(testPeer(1), [want()]);
    expect(one.asked.length + two.asked.length).toBe(2);
    two.hold(blob, 5);
    pass(1000);
    expect((await announce(testPeer(1), [want()])).answers[0]).toMatchObject({ meta: testMeta(5), peers: [two.peer] });
  });

  test('an origin that is not among its owners is found too', async () => {
    const origins = await Promise.all([1, 2, 3, 4].map((no) => new FakeOrigin(no).start(stack)));
    // So many that each origin owns several, wherever their ports place them.
    const digests = Array.from({ length: 50 }, (_, i) => testDigest(i + 10));
    for (const digest of digests) origins[0]!.hold(digest, 1e6);
    const { announce } = await tracker(origins);
    const { answers } = await announce(
      testPeer(1),
      digests.map((digest) => want(digest)),
    );
    expect(answers).toHaveLength(digests.length);
    // Each was asked once, and for all of its blobs at a time.
    for (const origin of origins) expect(origin.requests).toBeLessThan(origin.asked.length);
    for (const answer of answers) expect(answer.peers).toEqual([origins[0]!.peer]);
  });

  test('an origin that is dead, or fails, makes it unavailable, not unknown', async () => {
    const [one, two] = [await new FakeOrigin(1).start(stack), await new FakeOrigin(2).start(stack)];
    two.state = 'fails';
    const failing = await tracker([one, two]);
    expect((await failing.announce(testPeer(1), [want()])).answers[0]!.error).toBe('unavailable');
    const dead = await tracker([one, { url: 'http://127.0.0.1:1' }]);
    expect((await dead.announce(testPeer(1), [want()])).answers[0]!.error).toBe('unavailable');
    one.hold(blob, 5);
    dead.pass(1000);
    expect((await dead.announce(testPeer(1), [want()])).answers[0]!.peers).toEqual([one.peer]);
  });

  test('a slow origin: asked again it is there; what is known does not wait for it', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    const warm = testDigest(2);
    origin.hold(warm, 1e9);
    origin.hold(blob, 1e9);
    // A wait that the test would not survive, were it waited for.
    const { announce } = await tracker([origin], { waitMs: 3_600_000 });
    await announce(testPeer(1), [want(warm)]);
    origin.state = 'hangs';
    const first = await announce(testPeer(2), [want(warm), want()]);
    expect(first.answers.find(({ digest }) => digest === warm)!.peers).toHaveLength(2);
    expect(first.answers.find(({ digest }) => digest === blob)).toEqual({
      digest: blob,
      peers: [],
      error: 'unavailable',
    });
    const second = announce(testPeer(3), [want()]);
    origin.wake();
    expect((await second).answers[0]).toMatchObject({ meta: testMeta(1e9) });
    expect(origin.asked).toEqual([warm, blob]);
  });

  test('small blobs that fell out of memory are fetched again', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    const inline = Buffer.alloc(16 * 1024, 7).toString('base64');
    const digests = Array.from({ length: 20 }, (_, i) => testDigest(i));
    for (const digest of digests) origin.hold(digest, 16 * 1024, inline);
    const { announce } = await tracker([origin], { memoryBytes: 200_000 });
    for (const digest of [...digests, ...digests]) {
      expect((await announce(testPeer(1), [want(digest)])).answers[0]!.inline).toBe(inline);
    }
    // Each of them twice; once more where the origin was slow to answer on a busy machine.
    expect(origin.asked.length).toBeGreaterThanOrEqual(40);
    expect(origin.asked.length).toBeLessThan(60);
  });

  test('an origin that restarted under another identity is handed out by its new one', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    origin.hold(blob, 1e9);
    const { announce, pass } = await tracker([origin]);
    await announce(testPeer(1), [want()]);
    const renewed = testPeer(77, 'origin');
    origin.blobs.set(blob, { digest: blob, meta: testMeta(1e9), peer: renewed });
    pass(60_000);
    await announce(testPeer(1), [want()]);
    await expect.poll(async () => (await announce(testPeer(1), [want()])).answers[0]!.peers).toEqual([renewed]);
  });
});

describe('tracker: other requests', () => {
  test('what an origin announced is known without asking', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    origin.state = 'hangs';
    const { announce, locate } = await tracker([origin]);
    await announce(origin.peer, [{ digest: blob, state: 'have', seek: 0, meta: testMeta(1e9) }]);
    expect((await announce(testPeer(1), [want()])).answers).toEqual([
      { digest: blob, peers: [origin.peer], meta: testMeta(1e9) },
    ]);
    expect((await locate(blob)).json<Located>()).toEqual({ digest: blob, meta: testMeta(1e9) });
  });

  test('metainfo that contradicts what is known is not passed on: the origins are asked', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    const { announce } = await tracker([origin]);
    const liar = testPeer(66, 'origin');
    const lie: AnnounceEntry = { digest: blob, state: 'have', seek: 0, meta: testMeta(7) };
    const metaNow = async () => (await announce(testPeer(1), [want()])).answers[0]!.meta;
    await announce(origin.peer, [{ ...lie, meta: testMeta(1e9) }]);
    await announce(liar, [lie]);
    expect(await metaNow()).toEqual(testMeta(1e9));
    // Said before any origin had it: the first who asks is told right.
    const later = testDigest(2);
    await announce(liar, [{ ...lie, digest: later }]);
    origin.hold(later, 1e9);
    expect((await announce(testPeer(1), [want(later)])).answers[0]!.meta).toEqual(testMeta(1e9));
    await announce(liar, [{ ...lie, digest: later }]);
    expect((await announce(testPeer(1), [want(later)])).answers[0]!.meta).toEqual(testMeta(1e9));
  });

  test('what an origin says that it wants again is asked of the origins anew; nobody waits for what is nowhere', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    origin.hold(blob, 1e9);
    const { announce, pass } = await tracker([origin]);
    expect((await announce(testPeer(2), [want()])).answers).toMatchObject([{ digest: blob, peers: [origin.peer] }]);
    origin.blobs.delete(blob);
    pass(1_000);
    expect((await announce(testPeer(3), [want()])).answers[0]).not.toHaveProperty('error');
    await announce(origin.peer, [{ digest: blob, state: 'want', seek: 0, meta: testMeta(1e9) }]);
    const [nowhere] = (await announce(testPeer(3), [want()])).answers;
    expect(nowhere).toMatchObject({ meta: testMeta(1e9), error: 'unknown' });
    expect(nowhere?.peers.map(({ node }) => node).sort()).toEqual([origin.peer.node, testPeer(2).node].sort());
    // An agent has all of it: it is no reason to give up.
    await announce(testPeer(2), [{ digest: blob, state: 'have', seek: 0 }]);
    expect((await announce(testPeer(3), [want()])).answers[0]).not.toHaveProperty('error');
    // Pushed again.
    await announce(testPeer(2), [{ digest: blob, state: 'gone', seek: 0 }]);
    origin.hold(blob, 1e9);
    pass(1_000);
    expect((await announce(testPeer(3), [want()])).answers[0]).not.toHaveProperty('error');
  });

  test('locate joins nothing', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    origin.hold(blob, small.length, small.toString('base64'));
    const { locate, state } = await tracker([origin]);
    expect((await locate(blob)).json<Located>()).toEqual({
      digest: blob,
      meta: testMeta(small.length),
      inline: small.toString('base64'),
    });
    expect(state.handout.stats.leases).toBe(0);
    const absent = await locate(testDigest(2));
    expect(absent.statusCode).toBe(404);
    expect(absent.json()).toMatchObject({ errors: [{ code: 'BLOB_UNKNOWN' }] });
    expect((await locate('sha256:xyz')).json()).toMatchObject({ errors: [{ code: 'DIGEST_INVALID' }] });
    origin.state = 'fails';
    expect((await locate(testDigest(3))).statusCode).toBe(503);
  });

  test('leave ends the leases', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    const { announce, app, state } = await tracker([origin]);
    await announce(testPeer(1), [{ digest: blob, state: 'have', seek: 0 }]);
    const response = await app.inject({
      method: 'POST',
      url: TRACKER.leave.path({}),
      payload: { node: testPeer(1).node },
    });
    expect(response.statusCode).toBe(204);
    expect(state.handout.stats).toMatchObject({ leases: 0, nodes: 0 });
  });

  test('malformed requests are named, and change nothing', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    const { app, state } = await tracker([origin]);
    const self = testPeer(1);
    const wrong: [unknown, string][] = [
      [[], 'the body is not an object'],
      [{ self }, 'entries is not a list'],
      [{ self: { ...self, port: 70_000 }, entries: [] }, 'self.port'],
      [{ self: { ...self, host: 'a b' }, entries: [] }, 'self.host'],
      [{ self, entries: [want(), { ...want(), digest: 'sha256:1' }] }, 'entries[1].digest is no digest'],
      [{ self, entries: [{ ...want(), seek: -1 }] }, 'entries[0].seek'],
      [{ self, entries: [{ ...want(), state: '__proto__' }] }, 'entries[0].state'],
      [{ self, entries: [{ ...want(), meta: { length: -1, pieceLength: 1, root: '' } }] }, 'entries[0].meta'],
      [{ self, entries: Array.from({ length: 2049 }, () => want()) }, 'more than 2048'],
      [{ self, entries: [], held: 1.5 }, 'held'],
    ];
    for (const [payload, problem] of wrong) {
      const response = await app.inject({ method: 'POST', url: TRACKER.announce.path({}), payload: payload as object });
      expect(response.statusCode).toBe(400);
      expect(response.json<{ errors: { message: string }[] }>().errors[0]!.message).toContain(problem);
    }
    const huge = await app.inject({
      method: 'POST',
      url: TRACKER.announce.path({}),
      payload: { self, entries: [], more: 'x'.repeat(2e6) },
    });
    expect(huge.statusCode).toBe(413);
    const noJson = await app.inject({
      method: 'POST',
      url: TRACKER.announce.path({}),
      payload: '{',
      headers: { 'content-type': 'application/json' },
    });
    expect(noJson.statusCode).toBe(400);
    expect(state.handout.stats).toMatchObject({ leases: 0, nodes: 0 });
  });

  test('its metrics count', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    const { announce, metrics } = await tracker([origin]);
    await announce(testPeer(1), [{ digest: blob, state: 'have', seek: 0 }, want(testDigest(2), 0)]);
    const text = await metrics.text();
    expect(text).toContain('shoal_tracker_leases 2');
    expect(text).toContain('shoal_tracker_announce_entries_total{state="have"} 1');
    expect(text).toContain('shoal_tracker_announces_total 1');
  });
});

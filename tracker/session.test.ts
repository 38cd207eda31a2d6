import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type AnnounceEntry, TRACKER } from '../core/contracts/tracker.ts';
import { type BlobIn, byDigest } from '../core/digest.ts';
import { testDigest, testMeta, testPeer } from '../core/handout/fixtures.ts';
import { handoutLimits } from '../core/handout/limits.ts';
import { CallContext } from '../platform/clients/context.ts';
import { TrackerSession } from '../platform/clients/tracker.ts';
import { listen } from '../platform/http/server.ts';
import { httpMembers } from '../platform/members/http.ts';
import { fixedList } from '../platform/members/list.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { FakeOrigin } from './testing/fake-origin.ts';
import { startTracker } from './testing/tracker.ts';

const ctx = CallContext.begin();
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

describe('a session with trackers over real sockets', () => {
  const session = (urls: readonly string[]): TrackerSession => {
    const trackers = stack.use(httpMembers(fixedList(urls)));
    const made = new TrackerSession({ trackers, log: silentLog() });
    stack.defer(() => made.leave());
    return made;
  };
  const started = async (origins: readonly { url: string }[]) => {
    const made = await tracker(origins);
    const { port } = stack.use(await listen(made.app, { host: '127.0.0.1', port: 0 }));
    return { ...made, url: `http://127.0.0.1:${port}` };
  };

  test('what was said before joining goes out, answers come back, leaving ends the leases', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    origin.hold(blob, small.length, small.toString('base64'));
    const one = await started([origin]);
    const peer = session([one.url]);
    const answers: unknown[] = [];
    peer.set(blob, 'want');
    peer.seek(byDigest(blob), 4);
    expect(await peer.locate(byDigest(blob), ctx)).toMatchObject({ digest: blob, inline: small.toString('base64') });
    expect(await peer.locate(byDigest(testDigest(5)), ctx)).toBeUndefined();
    peer.join(testPeer(1), (answer) => answers.push(answer));
    await expect
      .poll(() => answers)
      .toMatchObject([{ digest: blob, peers: [origin.peer], inline: small.toString('base64') }]);
    expect(one.state.handout.stats.leases).toBe(1);
    await peer.leave();
    expect(one.state.handout.stats.leases).toBe(0);
    peer.set(testDigest(9), 'have');
    await peer.leave();
  });

  test('the repository of a seek, and of a question for a size, goes on to the origins', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    const blobs = [1, 2, 3].map((no) => ({ digest: testDigest(no), repo: no === 3 ? undefined : `team/app-${no}` }));
    const peer = session([(await started([origin])).url]);
    peer.join(testPeer(1), () => undefined);
    const [sought, located, alone] = blobs as [BlobIn, BlobIn, BlobIn];
    peer.set(sought.digest, 'want');
    peer.seek(sought, 4);
    await expect.poll(() => origin.askedIn).toEqual(['team/app-1']);
    expect(await peer.locate(located, ctx)).toBeUndefined();
    expect(await peer.locate(alone, ctx)).toBeUndefined();
    expect(origin.askedIn).toEqual(['team/app-1', 'team/app-2', undefined]);
  });

  test('a repository that cannot be one is refused, in a path and in a body', async () => {
    const { app } = await tracker([await new FakeOrigin(1).start(stack)]);
    for (const repo of ['../x', 'A', '', 'a'.repeat(256), 'a//b']) {
      const located = await app.inject({ url: TRACKER.locate.path({ digest: blob, repo }) });
      expect([located.statusCode, located.json().errors[0].code], repo).toEqual([400, 'NAME_INVALID']);
      const payload = { self: testPeer(1), entries: [{ ...want(), repo }] };
      const announced = await app.inject({ method: 'POST', url: TRACKER.announce.pattern, payload });
      expect([announced.statusCode, announced.json().errors[0].message], repo).toEqual([
        400,
        'entries[0].repo is no valid repository name',
      ]);
    }
  });

  test('a dead tracker is passed over; with none, it says unavailable', async () => {
    const origin = await new FakeOrigin(1).start(stack);
    for (let i = 0; i < 10; i++) origin.hold(testDigest(i), 1e9);
    const one = await started([origin]);
    const peer = session([one.url, 'http://127.0.0.1:1']);
    const answered = new Set<string>();
    peer.join(testPeer(1), (answer) => {
      if (answer.error === undefined) answered.add(answer.digest);
    });
    for (let i = 0; i < 10; i++) {
      peer.set(testDigest(i), 'want');
      peer.seek(byDigest(testDigest(i)), 4);
      expect(await peer.locate(byDigest(testDigest(i)), ctx)).toMatchObject({ meta: testMeta(1e9) });
    }
    await expect.poll(() => answered.size).toBe(10);
    const lost = session(['http://127.0.0.1:1']);
    const errors: unknown[] = [];
    lost.join(testPeer(2), (answer) => errors.push(answer.error));
    lost.set(blob, 'want');
    lost.seek(byDigest(blob), 4);
    await expect.poll(() => errors[0]).toBe('unavailable');
    await expect(lost.locate(byDigest(blob), ctx)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('a limit that keeps leases out is told in the log of the host, once for a while, and ends no session', async () => {
    const limits = { ...handoutLimits, client: { leases: 2, nodes: 1 } };
    const made = await tracker([await new FakeOrigin(1).start(stack)], { limits });
    const { port } = stack.use(await listen(made.app, { host: '127.0.0.1', port: 0 }));
    const trackers = stack.use(httpMembers(fixedList([`http://127.0.0.1:${port}`])));
    const lines: object[] = [];
    const log = { ...silentLog(), warn: (fields: object) => void lines.push(fields) };
    const peer = new TrackerSession({ trackers, log });
    stack.defer(() => peer.leave());
    peer.join(testPeer(1), () => undefined);
    for (let i = 0; i < 8; i++) {
      peer.set(testDigest(i), 'have');
      await expect.poll(() => peer.stats.held).toBe(i + 1);
    }
    expect(made.state.handout.stats.leases).toBe(2);
    expect(lines).toEqual([expect.objectContaining({ limit: expect.stringContaining('limits.client.leases (2)') })]);
  });

  test('a server that talks nonsense is a tracker that failed', async () => {
    const nonsense = createServer((_request, response) => response.end('{"leaseMs":"soon"}'));
    await new Promise<void>((resolve) => nonsense.listen(0, '127.0.0.1', resolve));
    stack.defer(() => {
      nonsense.closeAllConnections();
      nonsense.close();
    });
    const peer = session([`http://127.0.0.1:${(nonsense.address() as AddressInfo).port}`]);
    const errors: unknown[] = [];
    peer.join(testPeer(1), (answer) => errors.push(answer.error));
    peer.set(blob, 'want');
    peer.seek(byDigest(blob), 4);
    await expect.poll(() => errors[0]).toBe('unavailable');
    await expect(peer.locate(byDigest(blob), ctx)).rejects.toThrow('what is no answer');
  });
});

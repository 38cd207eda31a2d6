/** The repository that a blob is pulled in goes to the trackers with every seek, and in no frame to any peer. */

import { afterEach, expect, test } from 'vitest';
import type { Connection, Ears, Net } from '../net/net.ts';
import { tcp } from '../net/tcp.ts';
import { MemoryTracker, readBlob, seedBlob, startNode } from './fixtures.ts';

const repo = 'very/secret-repository';
const cluster = 'cluster-in-hello';
const mebibyte = 2 ** 20;

const running: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

function use<T extends AsyncDisposable>(one: T): T {
  running.push(one);
  return one;
}

/** TCP, with all that goes in and out kept. */
function recorded(into: Buffer[]): Net {
  const keep = (bytes: Uint8Array): void => void into.push(Buffer.from(bytes));
  const ears = (of: Ears): Ears => ({
    ...of,
    received: (bytes, buffer) => {
      keep(buffer.subarray(0, bytes));
      return of.received(bytes, buffer);
    },
  });
  const tapped = (connection: Connection): Connection => {
    const write = connection.write.bind(connection);
    connection.write = (bytes, done) => {
      keep(bytes);
      write(bytes, done);
    };
    return connection;
  };
  return {
    dial: (to, of) => tapped(tcp.dial(to, ears(of))),
    listen: (at, door) =>
      tcp.listen(at, {
        ...door,
        accept: (incoming) =>
          door.accept({
            remote: incoming.remote,
            take: (of) => tapped(incoming.take(ears(of))),
            refuse: () => incoming.refuse(),
          }),
      }),
  };
}

test('no frame between peers names the repository', async () => {
  const tracker = new MemoryTracker();
  const frames: Buffer[] = [];
  const net = recorded(frames);
  const origin = use(await startNode(tracker, { role: 'origin', net, cluster }));
  const agents = [use(await startNode(tracker, { net, cluster })), use(await startNode(tracker, { net, cluster }))];
  const blob = await seedBlob(origin, 5 * mebibyte);
  for (const agent of agents) {
    await agent.node.pull(blob.digest, { repo }).complete;
    expect((await readBlob(agent, blob.digest)).equals(blob.bytes)).toBe(true);
  }
  expect(new Set(tracker.sought.map((sought) => sought.repo))).toEqual(new Set([repo]));
  // All of it was heard: each agent's copy on its way out and in.
  const heard = Buffer.concat(frames);
  expect(heard.length).toBeGreaterThan(4 * blob.bytes.length);
  // A text that is in a frame, the cluster's name in a greeting, is found so.
  expect(heard.includes('cluster-in-hello')).toBe(true);
  for (const part of [repo, 'secret-repository']) expect(heard.includes(part)).toBe(false);
});

/**
 * A large object through each real server: written, found, and read back, by a stream that holds little of it.
 * SHOAL_LARGE_MIB=5120 is the long form; it needs as much room on the disk.
 */

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { originSchema } from '../../../origin/config.ts';
import { Backends } from '../../../platform/backends/backends.ts';
import { bytesOf, never } from '../../../platform/backends/objects.fixtures.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { createLog } from '../../../platform/telemetry/log.ts';
import { Metrics } from '../../../platform/telemetry/metrics.ts';
import { abilities, rulesOf } from '../../backends-page.fixtures.ts';
import { ofShort } from '../short.ts';
import { Generated } from './generated.ts';
import { storageServers } from './servers/all.ts';
import { type StorageServer, started } from './servers/server.ts';

/** Odd, and more than is held of it at once. */
const size = Number(process.env['SHOAL_LARGE_MIB'] ?? 160) * 2 ** 20 + 7;
const testMsMax = 60_000 + (size / 20e6) * 1000;
/** Parts in both directions, and what the heap has not given back yet. */
const heldBytesMax = 600 * 2 ** 20;

const all = Object.entries(storageServers)
  .filter(([, { kind }]) => abilities().get(kind)?.['write'] !== 'no' && abilities().get(kind)?.['holds'] !== 'tags')
  .map(([name, { kind, start }]) => ({ name, kind, start }));
const writing = ofShort(all, ({ name }) => name === 'versitygw');

describe.each(writing)('$kind, $name', ({ start }) => {
  const stack = new AsyncDisposableStack();
  let server: StorageServer;
  beforeAll(async () => {
    server = await started(stack, start);
  });
  afterAll(() => stack.disposeAsync());

  test(`an object of ${size} bytes`, { timeout: testMsMax }, async () => {
    const [rule] = rulesOf(
      { name: 'origin', schema: originSchema },
      stringify({ backends: [server.rule] }),
      server.env,
    );
    if (rule === undefined) throw new Error('no rule');
    const quiet = { log: createLog({ role: 'check', level: 'silent', name: '' }), metrics: new Metrics() };
    await using backends = await Backends.open([rule], {
      ...quiet,
      env: server.env,
      clock: realClock,
      sharers: () => 1,
    });
    const [backed] = backends.all;
    if (backed === undefined) throw new Error('no backend');
    const { backend, blobKey } = backed;
    const generated = new Generated(size);
    const source = generated.source();
    const key = blobKey(source.digest, 'library/app');
    const before = process.memoryUsage.rss();
    let most = before;
    const look = (): void => {
      most = Math.max(most, process.memoryUsage.rss());
    };
    using _ = setInterval(look, 100);
    await backend.write(key, source, never);
    const found = await backend.stat(key, never);
    expect(found).toMatchObject({ size });
    const hash = createHash('sha256');
    const read = backend.read(key, { start: 0, end: size, version: found?.version }, never);
    for await (const chunk of read) hash.update(chunk);
    expect(`sha256:${hash.digest('hex')}`).toBe(source.digest);
    const end = await bytesOf(backend.read(key, { start: size - 10, end: size, version: found?.version }, never));
    expect(end.equals(Buffer.concat([...generated.bytes(size - 10, size)]))).toBe(true);
    expect(most - before).toBeLessThan(heldBytesMax);
  });
});

/**
 * The index in a bucket of real servers: the conformance suite of all engines.
 *
 * Short form: versitygw alone; the long one every server there is that keeps to conditions.
 */

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type BackendRule, backendsShape } from '../../../platform/backends/config.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { neverHeldUp } from '../../../platform/tags/bucket/faulty-bucket.fixtures.ts';
import { openBucketTags } from '../../../platform/tags/bucket/open.ts';
import { tagStoreConformance } from '../../../platform/tags/conformance.fixtures.ts';
import { documentsConformance } from '../../../platform/tags/documents.fixtures.ts';
import { elsewhereConformance } from '../../../platform/tags/elsewhere.fixtures.ts';
import { namedConformance } from '../../../platform/tags/named.fixtures.ts';
import { outboxConformance } from '../../../platform/tags/outbox.fixtures.ts';
import type { OutboxOptions } from '../../../platform/tags/outbox.ts';
import { targetsConformance } from '../../../platform/tags/targets.fixtures.ts';
import { createLog } from '../../../platform/telemetry/log.ts';
import { Metrics } from '../../../platform/telemetry/metrics.ts';
import { ofShort } from '../short.ts';
import { storageServers } from './servers/all.ts';
import { type StorageServer, started } from './servers/server.ts';

const log = createLog({ role: 'index', level: 'silent', name: '' });
const ruleOf = (said: object): BackendRule => backendsShape().parse([said])[0] as BackendRule;
const names = ['versitygw', 'minio', 'fake-gcs-server', 'azurite'];

describe.each(ofShort(names, (name) => name === 'versitygw'))('%s', (name) => {
  const stack = new AsyncDisposableStack();
  let server: StorageServer;
  beforeAll(async () => {
    server = await started(stack, (storageServers[name] as (typeof storageServers)[string]).start);
  });
  afterAll(() => stack.disposeAsync());

  const open = (prefix = `${randomUUID()}/`, outbox?: OutboxOptions) =>
    openBucketTags({
      outbox,
      rule: ruleOf(server.rule),
      prefix,
      env: server.env,
      hangs: neverHeldUp,
      clock: realClock,
      log,
      metrics: new Metrics(),
    });

  tagStoreConformance(name, () => open());
  documentsConformance(name, () => open());
  elsewhereConformance(name, () => open());
  outboxConformance(name, (outbox) => open(undefined, outbox));
  targetsConformance(name, (outbox) => open(undefined, outbox));
  namedConformance(name, async () => {
    const prefix = `${randomUUID()}/`;
    return { store: await open(prefix), other: () => open(prefix) };
  });

  test('who comes later finds the same store', async () => {
    const prefix = `${randomUUID()}/`;
    await using one = await open(prefix);
    await using two = await open(prefix);
    const digest = `sha256:${'1'.repeat(64)}` as Parameters<typeof one.blob>[1];
    await one.linkBlob('a', digest, { size: 1 });
    expect(await two.blob('a', digest)).toEqual({ digest, size: 1 });
    const at = { nowMs: 0, unlinkedMs: 1 };
    expect((await one.condemn([], at)).index).toBe((await two.condemn([], at)).index);
  });
});

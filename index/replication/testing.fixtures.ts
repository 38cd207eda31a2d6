/** An index that sends to remotes: the engine in memory, the real lanes and client, and origins that are a map of bytes. */

import { ApiError } from '../../core/contracts/errors.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import type { Origins } from '../../platform/clients/origins.ts';
import { openMemoryTags } from '../../platform/tags/memory/memory.ts';
import { openSqliteTags } from '../../platform/tags/sqlite/sqlite.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { digestOfBytes, type Image, push } from '../backing/testing.fixtures.ts';
import { indexSchema } from '../config.ts';
import { OutboxHeard } from '../outbox/heard.ts';
import { openOutbox } from '../outbox/open.ts';
import { follow, type Replication } from './open.ts';
import { replicationTargets } from './targets.ts';

export type TestFollower = {
  readonly store: TagStore;
  readonly origins: FakeBytes;
  readonly metrics: Metrics;
  readonly lanes: OutboxHeard['lanes'];
  readonly addRoutes: (app: Parameters<Replication['addRoutes']>[0]) => void;
  readonly again: Replication['again'];
  push(repo: string, image: Image, tags?: readonly string[]): Promise<void>;
  /** Rows that wait, dead ones included. */
  depth(): Promise<number>;
  /** What a metric of that beginning says. */
  told(line: string): Promise<number | undefined>;
  stop(): Promise<void>;
};

/** What origins hold, and how they fail. */
export class FakeBytes implements Pick<Origins, 'read'> {
  readonly held = new Map<Digest, Uint8Array>();
  reads = 0;
  fails: ((digest: Digest) => ApiError | undefined) | undefined;

  async *read({ digest }: BlobIn, { start, end }: { start: number; end: number }) {
    this.reads += 1;
    const failed = this.fails?.(digest);
    if (failed !== undefined) throw failed;
    const bytes = this.held.get(digest);
    if (bytes === undefined) throw new ApiError('BLOB_UNKNOWN', `no origin holds ${digest} whole`);
    for (let at = start; at < end; at += 65_536)
      yield { bytes: [bytes.subarray(at, Math.min(end, at + 65_536))], release: () => undefined };
  }
}

/** `file`: of SQLite, in place of memory. `origins`: those of another one. */
export async function follower(
  stack: AsyncDisposableStack,
  replicate: unknown,
  { file, origins = new FakeBytes() }: { readonly file?: string; readonly origins?: FakeBytes } = {},
): Promise<TestFollower> {
  const config = indexSchema.parse({
    role: 'index',
    data: '/nowhere',
    origins: ['http://127.0.0.1:1'],
    replicate,
  }).replicate;
  const targets = replicationTargets(config);
  if (config === undefined || targets === undefined) throw new Error('a test without remotes');
  const own = stack.use(new AsyncDisposableStack());
  const [log, metrics] = [silentLog(), new Metrics()];
  const heard = new OutboxHeard({ log, metrics });
  const outbox = { ...targets, ...heard.options, nowMs: Date.now };
  const store = file === undefined ? openMemoryTags(outbox) : openSqliteTags({ file, outbox, onBroken: fatal });
  own.use(store);
  const { lanes } = heard;
  const { addRoutes } = await openOutbox({ store, targets, heard, log });
  const parts = { store, replicate: config, log, metrics, env: {}, nowMs: Date.now, lanes, origins };
  const replication = await follow(parts, own);
  return {
    ...{ store, origins, metrics, lanes, again: replication.again },
    addRoutes: (app) => {
      addRoutes(app);
      replication.addRoutes(app);
    },
    async push(repo, image, tags = []) {
      for (const bytes of [...image.blobs, image.bytes]) origins.held.set(digestOfBytes(bytes), bytes);
      await push(store, repo, image, tags);
    },
    depth: async () => (await store.outbox()).reduce((sum, { rows }) => sum + rows, 0),
    async told(line) {
      const found = (await metrics.text()).split('\n').find((one) => one.startsWith(line));
      return found === undefined ? undefined : Number(found.split(' ').at(-1));
    },
    stop: () => own.disposeAsync(),
  };
}

function fatal(error: Error): never {
  throw error;
}

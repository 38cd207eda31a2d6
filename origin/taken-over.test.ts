/** A blob that is taken over from another origin, which owes it to a backend: the promise is here before the blob is said to be. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import { ApiError } from '../core/contracts/errors.ts';
import { type FetchRequest, ORIGIN } from '../core/contracts/origin.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import type { BlobEntry } from '../platform/store/store.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { type ApiParts, addRoutes } from './api.ts';

const digest = digestOf('sha256', '1'.repeat(64));
const meta = { length: 5, pieceLength: 262_144, root: '0'.repeat(64) };
const from = { node: '0'.repeat(32), host: '127.0.0.1', port: 1, role: 'origin', zone: '' } as const;
const entry = { digest, meta } as BlobEntry;

let stack: AsyncDisposableStack;
let base: string;
let owed: string[];
let refuses: boolean;

beforeEach(async () => {
  [stack, owed, refuses] = [new AsyncDisposableStack(), [], false];
  const app = createHttp({
    role: 'origin',
    log: silentLog(),
    metrics: new Metrics(),
    readiness: () => Promise.resolve([]),
  });
  const blobs: Pick<ApiParts['blobs'], 'fetch' | 'piecesOf'> = {
    fetch: async (_digest: Digest, _request: FetchRequest, held?: (of: BlobEntry) => Promise<void>) => {
      await held?.(entry);
      return 'held' as const;
    },
    piecesOf: () => 1,
  };
  const writeBack = {
    backs: (repo: string | undefined) => repo !== 'without/backend',
    asked: async (_entry: BlobEntry, repo: string | undefined) => {
      if (refuses) throw new ApiError('STORAGE_FULL', 'the disk of the queue is full');
      owed.push(repo ?? 'none');
      return { state: 'queued' as const, progress: 0 };
    },
  };
  const parts: Partial<ApiParts> = { blobs: blobs as ApiParts['blobs'], writeBack: writeBack as ApiParts['writeBack'] };
  addRoutes(app, parts as ApiParts);
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }));
  base = `http://127.0.0.1:${port}`;
});
afterEach(() => stack.disposeAsync());

const take = (body: FetchRequest) =>
  fetch(base + ORIGIN.fetch.path({ digest }), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

test('a row for each repository with a backend, and none where nothing is owed', async () => {
  expect((await take({ from, meta, owed: ['team/app', 'without/backend', ''] })).status).toBe(200);
  expect(owed).toEqual(['team/app', 'none']);
  owed = [];
  expect((await take({ from, meta })).status).toBe(200);
  expect(owed).toEqual([]);
});

test('where the row cannot be written, the copy is not said to be here', async () => {
  refuses = true;
  expect((await take({ from, meta, owed: ['team/app'] })).status).toBe(507);
});

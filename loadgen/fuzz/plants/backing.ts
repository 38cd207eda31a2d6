/** Defects planted in what is between the cluster and its backend: cold reads, the index's outbox and its reads. As those of the peers. */

import { ApiError } from '../../../core/contracts/errors.ts';
import { hopsMax } from '../../../core/contracts/origin.ts';
import { BackedReader } from '../../../index/backing/read.ts';
import { Reconciler } from '../../../index/backing/reconcile.ts';
import { ReadThrough } from '../../../index/backing/through.ts';
import { ColdReads } from '../../../origin/cold/cold.ts';
import { BackendCopies } from '../../../origin/cold/copies.ts';
import { Remembered } from '../../../origin/cold/remembered.ts';
import { MemoryOutbox } from '../../../platform/tags/memory/outbox.ts';
import { type Planted, replace } from './planted.ts';

export const PLANTED_BACKING = {
  'silence-is-no': {
    room: 'origin/cold/remembered.ts',
    defect: 'a backend that does not answer has not got the blob',
    plant: () =>
      replace(
        Remembered,
        'set',
        (original) =>
          function (this: Remembered, at, said) {
            const no = (): ApiError => new ApiError('BLOB_UNKNOWN', 'it is not there', { backend: 'main' });
            original.call(this, at, said.kind === 'failed' ? { kind: 'missing', error: no() } : said);
          },
      ),
  },
  'every-origin-fetches': {
    room: 'origin/cold/cold.ts',
    defect: 'whichever origin is asked fetches the blob from the backend',
    plant: () =>
      replace(
        ColdReads,
        'info',
        (original) =>
          function (this: ColdReads, question, growing) {
            return original.call(this, { ...question, hops: hopsMax }, growing);
          },
      ),
  },
  'copies-unconfirmed': {
    room: 'origin/cold/copies.ts',
    defect: 'what nothing is owed of goes, without asking the backend',
    plant: () =>
      replace(
        BackendCopies,
        'confirmed',
        () =>
          async function (this: BackendCopies, digests) {
            return [...digests];
          },
      ),
  },
  'tag-before-blobs': {
    room: 'index/backing/read.ts',
    defect: 'a tag is written before the blobs of its image are there',
    plant: () => replace(BackedReader, 'sizeOf', () => async () => 1),
  },
  'outbox-forgets': {
    room: 'platform/tags/memory/outbox.ts',
    defect: 'a row that could not be written is not written later',
    plant: () =>
      replace(
        MemoryOutbox,
        'failed',
        () =>
          function (this: MemoryOutbox, row) {
            this.written(row);
          },
      ),
  },
  'reads-not-through': {
    room: 'index/backing/through.ts',
    defect: 'of a tag that the index has not got the backend is not asked',
    plant: () => replace(ReadThrough, 'tag', () => async () => undefined),
  },
  'reconciles-a-page': {
    room: 'index/backing/reconcile.ts',
    defect: 'a reconcile ends with its first step',
    plant: () =>
      replace(
        Reconciler,
        'step',
        (original) =>
          async function (this: Reconciler, ...asked) {
            const { looked, changes, broken } = await original.apply(this, asked);
            return { looked, changes, broken };
          },
      ),
  },
} as const satisfies Record<string, Planted>;

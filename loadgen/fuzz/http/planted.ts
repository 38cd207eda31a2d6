/**
 * Defects planted in what answers and makes calls: the proxy, the registries, their clients, and what is behind an origin's
 * and a tracker's doors. As those of the peers (../planted.ts).
 */

import { Pulls } from '../../../agent/pull.ts';
import { ApiError } from '../../../core/contracts/errors.ts';
import { IndexClient } from '../../../platform/clients/index-client.ts';
import { Origins } from '../../../platform/clients/origins.ts';
import { BlobStore } from '../../../platform/store/store.ts';
import { Push } from '../../../proxy/push.ts';
import { Lookups } from '../../../tracker/lookups.ts';
import { type Planted, replace } from '../plants/planted.ts';

/** How long a tag is kept that should not be. */
const staleTagMs = 4_000;

export const PLANTED_HTTP = {
  'push-says-yes': {
    room: 'proxy/push.ts',
    defect: 'a commit that too few origins made is acknowledged',
    plant: () =>
      replace(
        Push,
        'commit',
        (original) =>
          async function (this: Push, request, context) {
            try {
              return await original.call(this, request, context);
            } catch (error) {
              if (!(error instanceof ApiError) || error.code !== 'UNAVAILABLE') throw error;
              return { kind: 'empty', status: 201, headers: { 'docker-content-digest': request.digest } };
            }
          },
      ),
  },
  'manifest-before-bytes': {
    room: 'platform/clients/origins.ts',
    defect: "a manifest's tag is set while its bytes are still on their way to the origins",
    plant: () =>
      replace(
        Origins,
        'store',
        (original) =>
          async function (this: Origins, ...what) {
            original.apply(this, what).catch(() => undefined);
          },
      ),
  },
  'range-off-by-one': {
    room: 'agent/pull.ts',
    defect: 'a range begins one byte too early',
    plant: () =>
      replace(
        Pulls,
        'open',
        (original) =>
          async function (this: Pulls, ...asked) {
            const content = await original.apply(this, asked);
            const early = (start: number): number => (start > 0 ? 1 : 0);
            return { ...content, open: (start, end) => content.open(start - early(start), end - early(start)) };
          },
      ),
  },
  'stale-tag': {
    room: 'platform/clients/index-client.ts',
    defect: 'a tag that was read is believed for a while',
    plant: () => {
      const kept = new WeakMap<IndexClient, Map<string, { readonly untilMs: number; readonly answer: unknown }>>();
      return replace(
        IndexClient,
        'tag',
        (original) =>
          async function (this: IndexClient, repo, tag, ctx) {
            const mine = kept.get(this) ?? new Map();
            kept.set(this, mine);
            const known = mine.get(tag);
            if (known !== undefined && known.untilMs > performance.now()) return known.answer;
            const answer = await original.call(this, repo, tag, ctx);
            mine.set(tag, { untilMs: performance.now() + staleTagMs, answer });
            return answer;
          },
      );
    },
  },
  'origin-believes': {
    room: 'platform/store/store.ts',
    defect: 'an origin says what it has without looking',
    plant: () =>
      replace(
        BlobStore,
        'whole',
        () =>
          async function (this: BlobStore, digest) {
            const entry = this.get(digest);
            return entry?.complete === true ? entry : undefined;
          },
      ),
  },
  'lookup-gives-up': {
    room: 'tracker/lookups.ts',
    defect: 'a tracker does not ask the origins',
    plant: () =>
      replace(
        Lookups,
        'find',
        () =>
          function (this: Lookups) {
            return Promise.resolve({ kind: 'unavailable', why: 'nobody was asked' } as const);
          },
      ),
  },
} as const satisfies Record<string, Planted>;

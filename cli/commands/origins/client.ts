/**
 * An operator's questions to one origin (core/contracts/origin-admin.ts).
 *
 * Rule: what reads a whole blob, or frees room, takes as long as the disk takes; an origin that hangs ends it (pulse.ts).
 */

import { DRAIN, type DrainState } from '../../../core/contracts/drain.ts';
import { ApiError } from '../../../core/contracts/errors.ts';
import {
  type BlobStatus,
  type EvictReply,
  type EvictRequest,
  type HeldBlob,
  heldPageMax,
  ORIGIN_ADMIN,
  type Verification,
} from '../../../core/contracts/origin-admin.ts';
import { REPAIR, type RepairState } from '../../../core/contracts/origin-repair.ts';
import { QUEUE, type QueueChoice, type QueueLane, queuePageMax } from '../../../core/contracts/queue.ts';
import { VOLUMES, type VolumeStatus } from '../../../core/contracts/volumes.ts';
import type { Digest } from '../../../core/digest.ts';
import type { CallContext } from '../../../platform/clients/context.ts';
import { type CallOptions, type ClientOptions, HttpClient } from '../../../platform/clients/http.ts';
import { silenceMs } from '../../../platform/clients/pulse.ts';

/** A blob of a terabyte on a slow disk. */
const workMsMax = 3_600_000;
const quick = { withinMs: silenceMs } as const;
const work = { stallMs: workMsMax, watched: true, tries: 1 } as const;

/** Its URL, or that and how it is reached. */
export type AskedOrigin = string | Pick<ClientOptions, 'base' | 'transport'>;

export class OriginAdminClient implements AsyncDisposable {
  readonly url: string;
  readonly #http: HttpClient;

  constructor(origin: AskedOrigin) {
    const to = typeof origin === 'string' ? { base: origin } : origin;
    this.url = to.base;
    this.#http = new HttpClient(to);
  }

  /** By digest. */
  async *blobs(ctx: CallContext): AsyncGenerator<HeldBlob> {
    for (let last: Digest | undefined; ; ) {
      const path = ORIGIN_ADMIN.list.path({ n: heldPageMax, last });
      const { blobs, more } = ORIGIN_ADMIN.list.reply(await this.#http.json('GET', path, { ctx, ...quick }), this.url);
      yield* blobs;
      const end = blobs.at(-1);
      if (!more || end === undefined) return;
      if (last !== undefined && end.digest <= last) {
        throw new ApiError('UNAVAILABLE', `${this.url} answers the same page of blobs again and again`);
      }
      last = end.digest;
    }
  }

  async status(digest: Digest, ctx: CallContext): Promise<BlobStatus> {
    const reply = await this.#http.json('GET', ORIGIN_ADMIN.status.path({ digest }), { ctx, ...quick });
    return ORIGIN_ADMIN.status.reply(reply, this.url);
  }

  async verify(digest: Digest, ctx: CallContext): Promise<Verification> {
    const reply = await this.#http.json('POST', ORIGIN_ADMIN.verify.path({ digest }), { ctx, ...work });
    return ORIGIN_ADMIN.verify.reply(reply, this.url);
  }

  async evict(body: EvictRequest, ctx: CallContext): Promise<EvictReply> {
    const reply = await this.#http.json('POST', ORIGIN_ADMIN.evict.path({}), { ctx, body, ...work });
    return ORIGIN_ADMIN.evict.reply(reply, this.url);
  }

  async volumes(ctx: CallContext): Promise<readonly VolumeStatus[]> {
    const reply = await this.#http.json('GET', VOLUMES.list.path({}), { ctx, ...quick });
    return VOLUMES.list.reply(reply, this.url).volumes;
  }

  async repair(ctx: CallContext): Promise<RepairState> {
    return REPAIR.state.reply(await this.#http.json('GET', REPAIR.state.path({}), { ctx, ...quick }), this.url);
  }

  async repairNow(ctx: CallContext): Promise<void> {
    await this.#http.json('POST', REPAIR.now.path({}), { ctx, body: {}, ...quick });
  }

  async drain(act: keyof typeof DRAIN, ctx: CallContext): Promise<DrainState> {
    const { method, path, reply } = DRAIN[act];
    const body = method === 'POST' ? { body: {} } : {};
    return reply(await this.#http.json(method, path({}), { ctx, ...body, ...quick }), this.url);
  }

  /** In the order in which they were added. */
  async *queue(of: { readonly lane?: string | undefined; readonly dead?: boolean | undefined }, ctx: CallContext) {
    for (let after: number | undefined; ; ) {
      const path = QUEUE.list.path({ ...of, n: queuePageMax, after });
      const { rows, next } = QUEUE.list.reply(await this.#queued('GET', path, { ctx, ...quick }), this.url);
      yield* rows;
      if (next === undefined) return;
      if (next <= (after ?? -1)) {
        throw new ApiError('UNAVAILABLE', `${this.url} answers the same page of its queue again and again`);
      }
      after = next;
    }
  }

  /** By what they wait for. */
  async lanes(ctx: CallContext): Promise<readonly QueueLane[]> {
    const reply = await this.#queued('GET', QUEUE.lanes.path({}), { ctx, ...quick });
    return QUEUE.lanes.reply(reply, this.url).lanes;
  }

  /** How many rows. */
  async changeQueue(act: 'retry' | 'drop', body: QueueChoice, ctx: CallContext): Promise<number> {
    const reply = await this.#queued('POST', QUEUE[act].path({}), { ctx, body, ...work });
    return QUEUE[act].reply(reply, this.url).rows;
  }

  async #queued(method: 'GET' | 'POST', path: string, options: CallOptions): Promise<unknown> {
    try {
      return await this.#http.json(method, path, options);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'NOT_FOUND') throw error;
      throw new ApiError('NOT_FOUND', `${this.url} has no queue: no backend is configured there`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http[Symbol.asyncDispose]();
  }
}

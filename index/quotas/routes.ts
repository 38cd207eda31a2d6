/** Quotas and what is used of them, for operators (core/contracts/quota/routes.ts). */

import type { FastifyInstance } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';
import { QUOTAS } from '../../core/contracts/quota/routes.ts';
import type { QuotaRule } from '../../core/quota.ts';
import { serve } from '../../platform/http/serve.ts';
import type { CountingTagStore } from '../../platform/tags/quotas/used.ts';

export type QuotaParts = {
  readonly rules: readonly QuotaRule[];
  /** Undefined: the engine does not count. */
  readonly counted: Pick<CountingTagStore, 'used' | 'room'> | undefined;
};

export function quotaRoutes(app: FastifyInstance, { rules, counted }: QuotaParts): void {
  serve(app, QUOTAS.rules, () => ({ quotas: rules }));
  serve(app, QUOTAS.used, ({ at }) => {
    if (counted !== undefined) return counted.used(at);
    throw new ApiError('UNSUPPORTED', 'the store of this index is a bucket, which does not count what is held');
  });
  serve(app, QUOTAS.room, ({ at }) => counted?.room(at));
}

/**
 * How much of each quota is used, and what was refused, as metrics.
 *
 * Rule: every repository is looked at, a page at a time, once a minute, and only where there are quotas: the metrics are as
 *   old as that. A store that does not answer leaves them as they were.
 */

import type { FastifyInstance } from 'fastify';
import { noUse, plusUse, type QuotaRule, quotaName, quotasFor, USES, type Use, type UseOf } from '../../core/quota.ts';
import { QuotaExceeded } from '../../platform/tags/quotas/exceeded.ts';
import type { CountingTagStore } from '../../platform/tags/quotas/used.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';

const everyMs = 60_000;
/** Repositories in one read. */
const pageMax = 1_000;
const labels = ['rule', 'each', 'of'] as const;

export type QuotaWatchParts = {
  readonly rules: readonly QuotaRule[];
  readonly used: CountingTagStore['used'];
  readonly metrics: Metrics;
  readonly log: Pick<LineLog, 'warn'>;
};

export class QuotaWatch implements Disposable {
  readonly #parts: QuotaWatchParts;
  readonly #timer: NodeJS.Timeout;
  #most = new Map<QuotaRule, Use>();

  constructor(parts: QuotaWatchParts) {
    this.#parts = parts;
    const { metrics } = parts;
    const used = 'Of a quota: what the repository has that has most, or all of its repositories together';
    metrics.observedEach('index_quota_used', used, {
      labels,
      read: () => this.#values((rule, of) => this.#most.get(rule)?.[of]),
    });
    metrics.observedEach('index_quota_limit', 'What a quota allows', {
      labels,
      read: () => this.#values((rule, of) => rule[of]),
    });
    this.#timer = setInterval(() => void this.look(), everyMs).unref();
    void this.look();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Counts what is refused at `app`. */
  observe(app: FastifyInstance): void {
    const help = 'Writes that went beyond a quota and were refused';
    const refused = this.#parts.metrics.counter('index_quota_refused_total', help, labels);
    app.addHook('onError', (_request, _reply, error, done) => {
      if (error instanceof QuotaExceeded)
        refused.inc({ rule: quotaName(error.rule), each: error.rule.each, of: error.beyond.of });
      done();
    });
  }

  async look(): Promise<void> {
    const { rules, used, log } = this.#parts;
    const most = new Map<QuotaRule, Use>();
    try {
      for (let last: string | undefined, more = true; more; ) {
        const page = await used({ n: pageMax, last });
        for (const { repo, ...use } of page.repositories)
          for (const rule of quotasFor(rules, repo)) {
            const before = most.get(rule) ?? noUse;
            most.set(rule, rule.each === 'pattern' ? plusUse(before, use) : maxUse(before, use));
          }
        last = page.repositories.at(-1)?.repo;
        more = page.more;
      }
      this.#most = most;
    } catch (error) {
      log.warn({ why: (error as Error).message }, 'what is used of quotas could not be read');
    }
  }

  #values(numberOfRule: (rule: QuotaRule, of: UseOf) => number | undefined) {
    return this.#parts.rules.flatMap((rule) =>
      USES.flatMap((what) => {
        if (rule[what] === undefined) return [];
        return [{ labels: { rule: quotaName(rule), each: rule.each, of: what }, value: numberOfRule(rule, what) ?? 0 }];
      }),
    );
  }
}

function maxUse(one: Use, other: Use): Use {
  const most = (of: keyof Use): number => Math.max(one[of], other[of]);
  return { bytes: most('bytes'), tags: most('tags'), manifests: most('manifests') };
}

/**
 * A write that goes beyond a quota.
 *
 * Rule: it is refused before anything of it has happened, so that the writes that share its transaction go on.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import { type Beyond, beyond, type QuotaRule, quotaName, type Use } from '../../../core/quota.ts';

export class QuotaExceeded extends ApiError {
  readonly rule: QuotaRule;
  readonly beyond: Beyond;

  constructor(rule: QuotaRule, repo: string, what: Beyond) {
    const { of, used, limit, adds } = what;
    const whose = rule.each === 'repository' ? `repository ${repo} has` : `all of ${quotaName(rule)} together have`;
    super(
      'DENIED',
      `quota exceeded: ${whose} ${used} of ${limit} ${of} (\`quotas\` of the index, rule ${quotaName(rule)}), and this adds ${adds}: remove what is not needed, or ask for more`,
      { rule: quotaName(rule), each: rule.each, of, used, limit, adds },
    );
    this.rule = rule;
    this.beyond = what;
  }
}

/** Throws QuotaExceeded. */
export function heedQuota(rule: QuotaRule, repo: string, use: { readonly used: Use; readonly adds: Use }): void {
  const what = beyond(rule, use.used, use.adds);
  if (what !== undefined) throw new QuotaExceeded(rule, repo, what);
}

/** What `write` comes to, that it goes beyond a quota included. */
export async function orExceeded(write: () => Promise<unknown>): Promise<unknown> {
  try {
    return await write();
  } catch (error) {
    if (error instanceof QuotaExceeded) return error;
    throw error;
  }
}

type Waiting = { readonly resolve: (value: unknown) => void; readonly reject: (error: unknown) => void };

/** Tells whoever waits for a write of what came of it. */
export function settleWrite({ resolve, reject }: Waiting, outcome: unknown): void {
  if (outcome instanceof QuotaExceeded) reject(outcome);
  else resolve(outcome);
}

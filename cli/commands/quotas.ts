/** `shoal quota ls`: what repositories may hold, and what they do. */

import type { Command } from 'commander';
import { QUOTAS } from '../../core/contracts/quota/routes.ts';
import { pageEntriesMax } from '../../core/oci/limits.ts';
import {
  noUse,
  plusUse,
  type QuotaRule,
  quotaName,
  quotasFor,
  type RepositoryUse,
  USES,
  type Use,
} from '../../core/quota.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { HttpClient } from '../../platform/clients/http.ts';
import type { HttpTransport } from '../../platform/net/http.ts';
import { HELP } from '../help.ts';
import { bytesText, percentText, table } from '../ui/format.ts';
import { type AskedOfIndex, indexCommands } from './index-option.ts';
import type { Commanding } from './origins/commands.ts';

type QuotasAsked = {
  readonly index: string;
  /** Repositories that no quota is for, too. */
  readonly all: boolean;
  readonly json: boolean;
  readonly signal: AbortSignal;
  /** Default: TCP. */
  readonly transport?: HttpTransport | undefined;
};

/** `repository`: of a limit that each has; null: of all that the rule matches. `quota` null: there is none for it. */
type Line = { readonly repository: string | null; readonly quota: QuotaRule | null; readonly used: Use };

const withinMs = 10_000;

/** The sub-commands of `quota`. */
export function addQuotaCommands(quota: Command, commanding: Commanding): void {
  const { stoppable, say, transport } = commanding;
  const add = indexCommands(quota, HELP.quota, commanding);
  add('ls', 'each quota of an index, and how much of it is used; without quotas what each repository holds')
    .option('--all', 'also repositories that no quota is for')
    .action(({ index, all = false, json = false }: AskedOfIndex & { readonly all?: boolean }) =>
      stoppable((signal) => listQuotas({ index, all, json, signal, transport }, say)),
    );
}

async function listQuotas(asked: QuotasAsked, say: (line: string) => void): Promise<void> {
  const { index, all, json, signal, transport } = asked;
  await using http = new HttpClient({ base: index, transport });
  const ctx = CallContext.begin({ signal });
  const told = await http.json('GET', QUOTAS.rules.path({}), { ctx, withinMs, tries: 1 });
  const { quotas } = QUOTAS.rules.reply(told, index);
  const uses: RepositoryUse[] = [];
  for (let last: string | undefined, more = true; more; ) {
    const answer = await http.json('GET', QUOTAS.used.path({ n: pageEntriesMax, last }), { ctx, withinMs, tries: 1 });
    const page = QUOTAS.used.reply(answer, index);
    uses.push(...page.repositories);
    last = page.repositories.at(-1)?.repo;
    more = page.more;
  }
  const lines = linesOf(quotas, uses, all || quotas.length === 0);
  say(json ? JSON.stringify({ quotas: lines }) : textOf(lines));
}

function linesOf(rules: readonly QuotaRule[], uses: readonly RepositoryUse[], all: boolean): Line[] {
  const sums = new Map(rules.filter(({ each }) => each === 'pattern').map((quota) => [quota, noUse]));
  const lines: Line[] = [];
  for (const { repo, ...used } of uses) {
    const [own] = quotasFor(rules, repo).filter(({ each }) => each === 'repository');
    for (const quota of quotasFor(rules, repo)) {
      const before = sums.get(quota);
      if (before !== undefined) sums.set(quota, plusUse(before, used));
    }
    if (own !== undefined || all) lines.push({ repository: repo, quota: own ?? null, used });
  }
  return [...Array.from(sums, ([quota, used]): Line => ({ repository: null, quota, used })), ...lines];
}

function textOf(lines: readonly Line[]): string {
  if (lines.length === 0) return 'no repository holds anything';
  const rows = lines.map(({ repository, quota, used }) => [
    repository ?? `all of ${quotaName(quota as QuotaRule)}`,
    ...USES.map((of) => {
      const text = of === 'bytes' ? bytesText : String;
      const limit = quota?.[of];
      if (limit === undefined) return text(used[of]);
      return `${text(used[of])} of ${text(limit)} (${percentText(limit === 0 ? 1 : used[of] / limit)})`;
    }),
    quota === null ? '' : quotaName(quota),
  ]);
  return table([['repository', 'bytes', 'tags', 'manifests', 'rule'], ...rows]);
}

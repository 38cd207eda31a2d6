/** One run: index processes, callers, faults; and the verdict on each tag's history. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { prng } from '../../core/prng.ts';
import { undoneAtExit } from '../../harness/at-exit.ts';
import type { HttpClient } from '../../platform/clients/http.ts';
import { httpMembers } from '../../platform/members/http.ts';
import { fixedList } from '../../platform/members/list.ts';
import type { Members } from '../../platform/members/members.ts';
import { IndexSite } from '../indexes/site.ts';
import type { EngineServer } from '../indexes/store.ts';
import { check } from './check.ts';
import { breakThings, type FaultCount, possible } from './faults.ts';
import { unknownOf } from './history.ts';
import { type Histories, lastReads, load } from './load.ts';
import type { LinOptions } from './options.ts';

/** What was held up on its way may still come true. */
const settleMs = 3_000;

export type LinResult = {
  readonly operations: number;
  /** Writes of which nobody knows whether they were done. */
  readonly unknown: number;
  readonly violations: readonly { readonly tag: string; readonly near: readonly string[] }[];
  /** Tags whose histories were too much for the checker. */
  readonly undecided: number;
  readonly faults: FaultCount;
};

/** `server`: the engine's, where it may be broken, too. */
export async function runLin(options: Omit<LinOptions, 'json'>, server?: EngineServer): Promise<LinResult> {
  await using stack = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), 'shoal-lin-'));
  undoneAtExit(stack, () => rmSync(dir, { recursive: true, force: true }));
  const sites: IndexSite[] = [];
  for (let no = 0; no < options.indexes; no++)
    sites.push(await IndexSite.start(`index-${no}`, { engine: options.store, dir }, stack));
  // Each begins with another one.
  const caller = (no: number): Members<HttpClient> => {
    const urls = sites.map((_, i) => (sites[(i + no) % sites.length] as IndexSite).url);
    return stack.use(httpMembers(fixedList(urls)));
  };
  const callers = Array.from({ length: options.callers }, (_, no) => caller(no));
  const histories: Histories = new Map(Array.from({ length: options.tags }, (_, no) => [`tag-${no}`, []]));
  const ended = new AbortController();
  const breaking = breakThings(sites, possible(options.faults, sites[0] as IndexSite, server), {
    server,
    random: prng(options.seed),
    signal: ended.signal,
  });
  // A fault that cannot be made ends the run, when it does.
  breaking.catch(() => undefined);
  await load(callers, histories, options);
  ended.abort();
  const faults = await breaking;
  for (let turn = 0; turn < 2; turn++) {
    await lastReads(caller(turn), histories);
    if (turn === 0) await sleep(settleMs);
  }
  return { ...judged(histories), faults };
}

function judged(histories: Histories): Omit<LinResult, 'faults'> {
  const all = [...histories.values()].flat();
  const verdicts = [...histories].map(([tag, history]) => ({ tag, verdict: check(history) }));
  return {
    operations: all.length,
    unknown: all.filter(unknownOf).length,
    violations: verdicts.flatMap(({ tag, verdict }) =>
      verdict.kind === 'violation' ? [{ tag, near: verdict.near }] : [],
    ),
    undecided: verdicts.filter(({ verdict }) => verdict.kind === 'undecided').length,
  };
}

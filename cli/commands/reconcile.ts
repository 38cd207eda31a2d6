/**
 * `shoal reconcile`: what the backends hold of tags and manifests is compared with an index, and with --apply brought into
 * it. The index does the work (steps.ts); this says what came of it.
 *
 * Rule: one that brought all there was, of every repository, tells an index that was restored that it knows what is needed.
 */

import { reconcileKeysMax } from '../../core/contracts/reconcile.ts';
import { Failure } from '../failure.ts';
import { trustedLine, trustIndex } from './index-trust.ts';
import { linesOf, type SteppedOptions, StepsLine, steps } from './steps.ts';

export type ReconcileOptions = SteppedOptions & {
  readonly apply: boolean;
  readonly repository?: string | undefined;
  readonly after?: string | undefined;
  readonly json: boolean;
};

type Sums = { looked: number; added: number; moved: number; removed: number; broken: number };

/** Throws Failure where anything in a backend is broken, or does not answer. */
export async function reconcile(options: ReconcileOptions, say: (line: string) => void): Promise<void> {
  const { apply, repository, after, json, screen } = options;
  const sums: Sums = { looked: 0, added: 0, moved: 0, removed: 0, broken: 0 };
  const shown = new StepsLine(screen);
  for await (const reply of steps(options, { apply, repositories: repository, after, keys: reconcileKeysMax })) {
    shown.clear();
    for (const line of linesOf(reply, json)) say(line);
    sums.looked += reply.looked;
    for (const { how } of reply.changes) sums[how] += 1;
    sums.broken += reply.broken.length;
    const { looked, added, moved, removed, broken } = sums;
    if (reply.next !== undefined)
      shown.draw(`${looked} keys, ${added + moved + removed} to be changed, ${broken} broken`);
  }
  say(json ? JSON.stringify({ applied: apply, ...sums }) : summary(sums, apply));
  // All that could be found is here now.
  if (apply && repository === undefined && sums.broken === 0) {
    const line = trustedLine(await trustIndex(options));
    if (line !== undefined && !json) say(line);
  }
  if (sums.broken > 0)
    throw new Failure(
      `${sums.broken} of what the backend names cannot be used: push it again, or write back its blobs`,
    );
}

function summary({ looked, added, moved, removed, broken }: Sums, apply: boolean): string {
  const all = `${added} added, ${moved} moved, ${removed} removed, ${broken} broken`;
  const changed = added + moved + removed;
  if (apply) return `${looked} keys: ${all}`;
  return `${looked} keys: ${all} (nothing was changed${changed > 0 ? ': --apply does it' : ''})`;
}

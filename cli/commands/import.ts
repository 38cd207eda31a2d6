/**
 * `shoal import`: tags, manifests and links that Kraken or a Docker registry left in a backend are brought into an index,
 * and what is broken there is named. The index does the work (steps.ts); this says what came of it.
 *
 * Rule 1: without --apply nothing is changed, and what would be is said.
 * Rule 2: where it stands is said wherever it ends before its end, so that it may be gone on with; to begin anew is as good.
 */

import { foreignNamesMax, type ReconcileReply, reconcileKeysMax } from '../../core/contracts/reconcile.ts';
import { Failure } from '../failure.ts';
import { foreignText } from '../ui/format.ts';
import { linesOf, type SteppedOptions, StepsLine, steps } from './steps.ts';

/** Repositories whose names are kept, so that each is told once. */
const refusedMax = 10_000;

export type ImportOptions = SteppedOptions & {
  readonly backend: string;
  readonly apply: boolean;
  readonly overwrite: boolean;
  readonly repository?: string | undefined;
  readonly after?: string | undefined;
  readonly json: boolean;
};

/** Throws Failure where anything in the backend is broken or rests elsewhere, or it does not answer. */
export async function importFrom(options: ImportOptions, say: (line: string) => void): Promise<void> {
  const { apply, backend, overwrite, repository, json, screen, signal } = options;
  const sums = new Sums();
  const shown = new StepsLine(screen);
  let { after } = options;
  const step = { apply, repositories: repository, keys: reconcileKeysMax, import: { backend, overwrite } };
  try {
    for await (const reply of steps(options, { ...step, after })) {
      shown.clear();
      for (const line of [...linesOf(reply, json), ...sums.add(reply, json)]) say(line);
      after = reply.next;
      if (after !== undefined) shown.draw(sums.progress(), `${sums.progress()}, at '${foreignText(after)}'`);
    }
  } catch (error) {
    shown.clear();
    if (signal.aborted && after !== undefined) screen.write(`go on later with --after '${foreignText(after)}'\n`);
    throw error;
  }
  for (const line of json ? [JSON.stringify({ applied: apply, ...sums.json() })] : sums.told(options)) say(line);
  if (sums.broken + sums.refused > 0) throw new Failure(sums.failure());
}

class Sums {
  readonly #beganMs = performance.now();
  readonly #refused = new Set<string>();
  readonly #foreign: string[] = [];
  readonly #changed = { added: 0, moved: 0, removed: 0 };
  #looked = 0;
  #tags = 0;
  #foreignCount = 0;
  broken = 0;

  get refused(): number {
    return this.#refused.size;
  }

  /** Lines about what is refused. */
  add(reply: ReconcileReply, json: boolean): string[] {
    this.#looked += reply.looked;
    this.#tags += reply.tags ?? 0;
    this.broken += reply.broken.length;
    for (const { how } of reply.changes) this.#changed[how] += 1;
    this.#foreignCount += reply.foreign?.count ?? 0;
    this.#foreign.push(...(reply.foreign?.names ?? []).slice(0, foreignNamesMax - this.#foreign.length));
    const news = (reply.refused ?? [])
      .filter(({ repo }) => !this.#refused.has(repo))
      .slice(0, refusedMax - this.refused);
    for (const { repo } of news) this.#refused.add(repo);
    return news.map(({ repo, backend }) => {
      if (json) return JSON.stringify({ kind: 'repository', repo, refused: backend ?? null });
      const where = backend === undefined ? 'in no backend' : `in backend ${backend}`;
      return `refused ${'repo'.padEnd(9)}${repo}  rests ${where} by the rules, where its blobs are not`;
    });
  }

  progress(): string {
    const seconds = Math.max(0.001, (performance.now() - this.#beganMs) / 1000);
    const rate = Math.round(this.#looked / seconds);
    return `${this.#looked} keys, ${this.#tags} tags, ${this.#sum()}, ${rate} keys/s`;
  }

  told({ apply, repository }: ImportOptions): string[] {
    const changed = Object.values(this.#changed).some((count) => count > 0);
    const end = apply ? '' : ` (nothing was changed${changed ? ': --apply does it' : ''})`;
    const lines = [`${this.#looked} keys, ${this.#tags} tags: ${this.#sum()}${end}`];
    if (this.#foreignCount > 0) {
      const more = this.#foreignCount - this.#foreign.length;
      const names = this.#foreign.map(foreignText).join(', ');
      const what = this.#foreignCount === 1 ? '1 object that is' : `${this.#foreignCount} objects that are`;
      lines.push(
        `${what} no blob and no tag by the rule's \`keys\`, left as ${this.#foreignCount === 1 ? 'it is' : 'they are'}: ${names}${more > 0 ? `, and ${more} more` : ''}`,
      );
    }
    if (this.#tags === 0)
      lines.push(
        `no tag was found${repository === undefined ? '' : ` of ${repository}`}: see whether prefix and \`keys\` of the rule are those of what lies there`,
      );
    return lines;
  }

  json(): object {
    const foreign = { count: this.#foreignCount, names: this.#foreign };
    return {
      looked: this.#looked,
      tags: this.#tags,
      ...this.#changed,
      broken: this.broken,
      refused: this.refused,
      foreign,
    };
  }

  failure(): string {
    const parts: string[] = [];
    if (this.broken > 0)
      parts.push(`${this.broken} of what the backend names cannot be used: push it again, or bring its objects back`);
    if (this.refused > 0)
      parts.push(
        `${this.refused}${this.refused === refusedMax ? ' or more' : ''} repositories were left out: give them to this backend in the rules, or take others by --repository`,
      );
    return parts.join('; ');
  }

  #sum(): string {
    const { added, moved, removed } = this.#changed;
    return `${added} added, ${moved} moved, ${removed} removed, ${this.broken} broken`;
  }
}

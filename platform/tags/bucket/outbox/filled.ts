/**
 * What repositories held before they had a target, queued for it: outbox.ts, rule 4.
 *
 * Rule 1: a repository is brought to a target if the cell of the two says so. That is written once all of it is queued; what
 *   breaks off before that is queued anew, which costs its target a look at each.
 * Rule 2: of a new repository it says so from the beginning, before the repository has a name. One that is no longer a
 *   target's is brought there anew when it comes back.
 */

import type { Digest } from '../../../../core/digest.ts';
import type { Filled as Brought } from '../../outbox.ts';
import type { OutboxKind } from '../../targets.ts';
import { type OutboxTarget, wantedBy } from '../../targets.ts';
import { numberOf, unversioned } from '../../versions.ts';
import { type Cells, isDamaged } from '../cells/cells.ts';
import { flagSaid, recordSaid } from '../cells/values.ts';
import { digestInKey, NAMES, recordAt, recordsOf, repoIn, tagIn, tagsOf } from '../layout.ts';
import type { HeldManifest } from '../record.ts';
import { againMax, busy } from '../requests/again.ts';
import { several } from '../requests/several.ts';
import { onOfCell, stateOfCell, type Tags } from '../tags.ts';
import { type OutPlace, outPlaceAt, outPlaceIn, outPlacesOf } from './keys.ts';
import type { MarkTelling } from './telling.ts';

/** Of a step: what it says is logged, and the next one goes on. */
const reposMax = 100;
/** Keys that are queued at once, as they are listed. */
const groupMax = 256;

type Parts = { readonly cells: Cells; readonly telling: MarkTelling };
type One = { readonly kind: OutboxKind; readonly name: string; readonly no?: number; readonly referrer?: boolean };

export class FilledRepos {
  readonly #cells: Cells;
  readonly #telling: MarkTelling;

  constructor({ cells, telling }: Parts) {
    this.#cells = cells;
    this.#telling = telling;
  }

  /** Whether any target is to have what it holds. */
  concerns(repo: string): boolean {
    return this.#telling.filledOf(repo).length > 0;
  }

  /** Of a repository that is about to come into being. */
  async begin(repo: string): Promise<void> {
    await several(this.#telling.filledOf(repo), ({ name }) => this.set({ target: name, repo }, true));
  }

  /** Some of those that lack something; none: there are none left. */
  async step(tags: Tags): Promise<Brought[]> {
    const filled = await this.#known();
    const done: Brought[] = [];
    for await (const { key } of this.#cells.keys(NAMES)) {
      const repo = repoIn(key);
      if (repo === undefined) continue;
      const targets = this.#telling.filledOf(repo);
      const had = filled.get(repo) ?? new Set();
      for (const target of had)
        if (!targets.some(({ name }) => name === target)) await this.set({ target, repo }, false);
      const lacking = targets.filter(({ name }) => !had.has(name));
      if (lacking.length === 0) continue;
      await this.#queueAll(repo, lacking, tags);
      const said = await several(lacking, async ({ name: target }) =>
        (await this.set({ target, repo }, true)) ? [{ repo, target }] : [],
      );
      done.push(...said.flat());
      if (done.length >= reposMax) break;
    }
    return done;
  }

  /** Every repository counts as not brought there. How many did not. */
  async forget(target: string): Promise<number> {
    const all: OutPlace[] = [];
    for await (const { key, live } of this.#cells.keys(outPlacesOf('filled', target))) {
      const repo = live ? repoIn(key) : undefined;
      if (repo !== undefined) all.push({ target, repo });
    }
    return (await several(all, (place) => this.set(place, false))).filter((changed) => changed).length;
  }

  /** By repository: the targets that have all of it. */
  async #known(): Promise<Map<string, Set<string>>> {
    const known = new Map<string, Set<string>>();
    for await (const { key, live } of this.#cells.keys(outPlacesOf('filled'))) {
      const place = live ? outPlaceIn(key) : undefined;
      if (place === undefined) continue;
      const of = known.get(place.repo) ?? new Set();
      known.set(place.repo, of.add(place.target));
    }
    return known;
  }

  /** Whether it was not so before. */
  async set(place: OutPlace, live: boolean): Promise<boolean> {
    const key = outPlaceAt('filled', place);
    for (let again = 0; again < againMax; again++) {
      const cell = await this.#cells.read(key, flagSaid);
      if (cell.live === live) return false;
      if (await this.#cells.write(cell, { live, value: live })) return true;
    }
    throw busy(key);
  }

  async #queueAll(repo: string, targets: readonly OutboxTarget[], tags: Tags): Promise<void> {
    const no = numberOf(tags.next([]));
    const kinds = new Set(targets.flatMap((target) => target.kinds));
    const blobs = new Set<Digest>();
    if (kinds.has('manifest') || kinds.has('referrer') || kinds.has('blob'))
      await this.#grouped(recordsOf(repo), async (key) => {
        const digest = digestInKey(key);
        const held = digest && (await this.#held(repo, digest));
        if (digest === undefined || held === undefined) return;
        for (const blob of held.blobs) blobs.add(blob);
        await this.#queue(repo, targets, { kind: 'manifest', name: digest, no, referrer: held.subject !== undefined });
      });
    if (kinds.has('blob')) await several([...blobs], (name) => this.#queue(repo, targets, { kind: 'blob', name, no }));
    if (kinds.has('tag'))
      await this.#grouped(tagsOf(repo), async (key) => {
        const tag = tagIn(key);
        if (tag !== undefined)
          await this.#queue(repo, targets, { kind: 'tag', name: tag, no: await this.#own(repo, tag, tags) });
      });
  }

  async #grouped(prefix: string, act: (key: string) => Promise<void>): Promise<void> {
    let group: string[] = [];
    const all = async (): Promise<void> => {
      await several(group, act);
      group = [];
    };
    for await (const { key, live } of this.#cells.keys(prefix)) {
      if (live && group.push(key) >= groupMax) await all();
    }
    await all();
  }

  async #queue(repo: string, targets: readonly OutboxTarget[], { no = 0, ...one }: One): Promise<void> {
    const atMs = this.#telling.nowMs();
    // Whatever it is on: it is there.
    const wanted = wantedBy(targets, [{ ...one, digest: one.name as Digest }]);
    await several(wanted, ({ target }) =>
      this.#telling.queue({ target: target.name, repo, kind: one.kind, name: one.name }, { no, atMs }),
    );
  }

  /** undefined: it is none, or what is there is no record. */
  async #held(repo: string, digest: Digest): Promise<HeldManifest | undefined> {
    try {
      const { live, value } = await this.#cells.read(recordAt(repo, digest), recordSaid);
      return live && value !== null ? value : undefined;
    } catch (error) {
      if (isDamaged(error)) return undefined;
      throw error;
    }
  }

  /** The number of a tag's version. Of what a registry wrote nobody has one: for others we are its writer. */
  async #own(repo: string, name: string, tags: Tags): Promise<number> {
    for (let again = 0; again < againMax; again++) {
      const tag = await tags.read(repo, name);
      const { version } = stateOfCell(tag);
      const on = onOfCell(tag.cell);
      if (on === undefined || version === null) return 0;
      if (version !== unversioned) return numberOf(version);
      const { digest, mediaType, size } = on;
      const next = tags.next([tag]);
      const plan = await tags.plan(tag, { digest, version: next, quiet: true });
      if (await tags.set(tag, { digest, mediaType, size, version: next }, plan)) return numberOf(next);
    }
    throw busy(`${repo} ${name}`);
  }
}

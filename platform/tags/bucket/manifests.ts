/**
 * Manifests: a record is there once its cell says so, and all that it refers to was linked to it before.
 *
 * Rule 1: first the marks of its links and tags, then the record, then the tags. What breaks off before the record leaves
 *   marks, which nobody takes for links (links.ts, Rule 1); after it, a manifest without its tags, which is pushed again.
 * Rule 2: a removal (and what replaces a record by one of another size or type) is noted (`doing/`), then the record ended, then its tags, then its marks. What breaks off is ended by
 *   whoever starts next, or asks for the removal again.
 */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import type { WriteName } from '../named.ts';
import type { ManifestOutcome, ManifestWrite } from '../store.ts';
import { changedTags, type OutboxChange } from '../targets.ts';
import { follows, newerAmong } from '../versions.ts';
import type { ToldOf } from './cells/body.ts';
import { type Cell, type Cells, isDamaged, newName } from './cells/cells.ts';
import { type RemovalSaid, recordSaid, removalSaid } from './cells/values.ts';
import { DOING, doingAt, type LinkTarget, recordAt } from './layout.ts';
import type { Links } from './links.ts';
import { isNo, knownIn, newest, toldIn } from './named.ts';
import type { RepoNames } from './names.ts';
import { type Begun, type MarkTelling, nothingBegun, type ToldChange } from './outbox/telling.ts';
import { type HeldManifest, heldManifestOf, linkTargetsOf, same } from './record.ts';
import { againMax, busy } from './requests/again.ts';
import { several } from './requests/several.ts';
import { onOfCell, type Plan, placeOfCell, stateOfCell, type Tag, type Tags } from './tags.ts';

type Record = Cell<HeldManifest | null>;
type Whole = {
  readonly repo: string;
  readonly digest: Digest;
  readonly put: ManifestWrite;
  readonly nowMs: number;
  readonly of?: WriteName | undefined;
  /** Under which epoch each of its blobs was seen. */
  readonly seen: ReadonlyMap<Digest, number>;
  /** It comes from a backend: it needs no proof, and nobody is told. */
  readonly adopted?: boolean;
};
type Lacking = { readonly missing: readonly Digest[] };
type Planned = { readonly tag: Tag; readonly version: TagVersion; readonly plan: Plan };
/** What a put has begun: its tags, at one version, and what is told of the manifest itself. */
type Begins = { readonly planned: readonly Planned[]; readonly begun: Begun };
type Parts = {
  readonly cells: Cells;
  readonly links: Links;
  readonly tags: Tags;
  readonly names: RepoNames;
  readonly telling: MarkTelling;
};

export class BucketManifests {
  readonly #cells: Cells;
  readonly #links: Links;
  readonly #tags: Tags;
  readonly #names: RepoNames;
  readonly #telling: MarkTelling;

  constructor({ cells, links, tags, names, telling }: Parts) {
    this.#cells = cells;
    this.#links = links;
    this.#tags = tags;
    this.#names = names;
    this.#telling = telling;
  }

  async read(repo: string, digest: Digest): Promise<HeldManifest | undefined> {
    const { live, value } = await this.#cells.read(recordAt(repo, digest), recordSaid);
    return live && value !== null ? value : undefined;
  }

  async put(whole: Omit<Whole, 'seen'>): Promise<ManifestOutcome> {
    const { repo, digest, put, of } = whole;
    for (let again = 0; again < againMax; again++) {
      const record = await this.#cells.read(recordAt(repo, digest), recordSaid);
      const [{ missing, seen }, all] = await Promise.all([
        this.#missing(repo, put),
        several(put.tags, (tag) => this.#tags.read(repo, tag)),
      ]);
      const known = all.flatMap(({ cell }) => knownIn<ManifestOutcome>(cell, of) ?? []);
      // Without tags it is the record that knows.
      const own = put.tags.length === 0 ? knownIn<ManifestOutcome>(record, of) : undefined;
      const last = own ?? known.find(isNo) ?? (known.length === all.length ? newest(known) : undefined);
      if (last !== undefined) return last.outcome;
      const left = all.filter(({ cell }) => knownIn(cell, of) === undefined);
      const names = left.map(({ tag }) => tag);
      const { kept, newer } = newerAmong(names, left.map(placeOfCell), { digest, as: put.as });
      if (kept !== undefined) return { missing: [], kept };
      const tags = left.filter(({ tag }) => newer.includes(tag));
      const changed = changedAmong(tags, put.after);
      const no = missing.length > 0 ? { missing } : changed && { missing, changed };
      const outcome = no ?? (await this.#putAt(record, { ...whole, seen }, tags));
      if (outcome !== undefined && (await this.#refused(record, whole, tags, outcome))) return outcome;
    }
    throw busy(`${repo} ${digest}`);
  }

  /** A no is remembered by all tags, or the record, where it has to be. False: one of them was written since it was read. */
  async #refused(
    record: Record,
    { put, of }: Omit<Whole, 'seen'>,
    tags: readonly Tag[],
    outcome: ManifestOutcome,
  ): Promise<boolean> {
    const told = isNo({ outcome }) ? toldIn(of, outcome) : undefined;
    if (told === undefined) return true;
    if (put.tags.length > 0) return (await several(tags, (tag) => this.#tags.leave(tag, told))).every((left) => left);
    // What was done is remembered as it was done.
    if (outcome.missing.length === 0 && outcome.unproved === undefined) return true;
    const { live, value = null } = record;
    return (await this.#cells.write<HeldManifest | null>(record, { live, value, told })) !== undefined;
  }

  /** Of what the repository has to hold; and under which epoch each blob was seen. */
  async #missing(repo: string, { blobs, manifests, sparse }: ManifestWrite): Promise<Pick<Whole, 'seen'> & Lacking> {
    const children = sparse === true ? [] : manifests;
    const seen = new Map<Digest, number>();
    const lacking = await Promise.all([
      several([...new Set(blobs)], async (one) => {
        const found = await this.#links.blobIn(repo, one);
        if (found === undefined) return [one];
        seen.set(one, found.epoch);
        return [];
      }),
      several([...new Set(children)], async (one) => ((await this.read(repo, one)) === undefined ? [one] : [])),
    ]);
    return { missing: [...new Set(lacking.flat(2))], seen };
  }

  /** As a backend has it. `seen`: of those of its blobs that are linked here. False: there is one; undefined: once more. */
  async adopt(whole: Omit<Whole, 'of' | 'adopted'>): Promise<boolean | undefined> {
    const record = await this.#cells.read(recordAt(whole.repo, whole.digest), recordSaid);
    if (record.live && record.value) return false;
    return (await this.#putAt(record, { ...whole, adopted: true }, [])) === undefined ? undefined : true;
  }

  /** undefined: the record, or a tag, was written by somebody else meanwhile. */
  async #putAt(record: Record, whole: Whole, tags: readonly Tag[]): Promise<ManifestOutcome | undefined> {
    const { repo, digest, put, adopted = false } = whole;
    const own = this.#ownChange(record, whole);
    const manifest = heldManifestOf(put, this.#telling.name(repo, own, tagsOn(tags, digest)));
    if (record.live && record.value && same(record.value, manifest)) return await this.#tagged(record, whole, tags);
    const by = manifest.made;
    const mark = { repo, manifest: digest, by };
    const unproved = await this.#links.mark({ digest, kind: 'm' }, mark, adopted ? 'none' : put.proof);
    if (unproved !== undefined) return { missing: [], unproved };
    const targets = linkTargetsOf(manifest);
    const [begins, under] = await Promise.all([
      this.#begin(whole, tags, toldBy(own, record, by)),
      several(targets, (target) => this.#links.refer(target, mark)),
      this.#names.add(repo),
    ]);
    // From here on none of them is condemned, as long as the record says so: those that were before are looked for again.
    const moved = (one: LinkTarget, i: number): boolean =>
      one.kind === 'l' && (!adopted || whole.seen.has(one.digest)) && whole.seen.get(one.digest) !== under[i];
    if (targets.some(moved)) return await this.#takeBack(whole, manifest, begins);
    const noted = await this.#noteReplaced(record, whole);
    const written = { live: true, value: manifest, by, told: toldAlone(whole) };
    if ((await this.#cells.write<HeldManifest | null>(record, written)) === undefined) {
      await this.#forget(noted);
      return await this.#takeBack(whole, manifest, begins);
    }
    if (record.live && record.value) await this.#replaced(whole, record.value, manifest);
    await this.#forget(noted);
    return await this.#setAll(whole, begins);
  }

  /** What others are told of the manifest itself. What was made elsewhere, and is here, is not told again. */
  #ownChange({ live }: Record, { digest, put, adopted }: Whole): OutboxChange[] {
    if (adopted === true || (put.as !== undefined && live)) return [];
    return [{ kind: 'manifest', name: digest, digest, referrer: put.subject !== undefined, again: live }];
  }

  /** Of a record that is there already, as it is to be: it is written only where somebody is told each time, or its name is kept. */
  async #tagged(record: Record, whole: Whole, tags: readonly Tag[]): Promise<ManifestOutcome | undefined> {
    const { repo, digest } = whole;
    const on = tagsOn(tags, digest);
    const own = this.#ownChange(record, whole).filter((change) => this.#telling.eachIs(repo, [change], on));
    const by = this.#telling.name(repo, own, on);
    const begins = await this.#begin(whole, tags, toldBy(own, record, by));
    const { planned } = begins;
    const { live, value = null } = record;
    const told = toldAlone(whole);
    const there =
      own.length > 0 || told !== undefined
        ? (await this.#cells.write<HeldManifest | null>(record, { live, value, by, told })) !== undefined
        : planned.length === 0 || (await this.read(repo, digest)) !== undefined;
    if (there) return await this.#setAll(whole, begins);
    await this.#unbegin(begins);
    return undefined;
  }

  async #begin({ repo, digest, put }: Whole, tags: readonly Tag[], own: readonly ToldChange[]): Promise<Begins> {
    const version = tags.length === 0 ? undefined : this.#tags.next(tags, put.as);
    const [planned, begun] = await Promise.all([
      version === undefined
        ? []
        : several(tags, async (tag) => ({ tag, version, plan: await this.#tags.plan(tag, { digest, version }) })),
      own.length === 0 ? nothingBegun : this.#telling.begin(repo, own, { version, beside: tagsOn(tags, digest) }),
    ]);
    return { planned, begun };
  }

  async #unbegin({ planned, begun }: Begins): Promise<void> {
    await Promise.all([this.#telling.undo(begun), several(planned, ({ tag, plan }) => this.#tags.unplan(tag, plan))]);
  }

  async #setAll({ digest, put, of }: Whole, { planned, begun }: Begins): Promise<ManifestOutcome | undefined> {
    const { mediaType, size } = put;
    const version = planned[0]?.version;
    const outcome: ManifestOutcome = version === undefined ? { missing: [] } : { missing: [], version };
    const told = toldIn(of, outcome);
    const set = await several(planned, ({ tag, plan, version }) =>
      this.#tags.set(tag, { digest, mediaType, size, version }, plan, told),
    );
    this.#telling.done(begun, ...planned.filter((_, i) => set[i]).map(({ plan }) => plan.begun));
    // Once more from the beginning: the manifest may have been removed, and a condition may not be met any more.
    return set.every((done) => done) ? outcome : undefined;
  }

  /** What the record was made of before, and is no more. */
  async #replaced(
    { repo, digest, nowMs }: Omit<RemovalSaid, 'was'>,
    was: HeldManifest,
    now: HeldManifest,
  ): Promise<void> {
    await this.#unmark({ repo, digest }, was);
    const kept = new Set(linkTargetsOf(now).map((target) => target.digest));
    const gone = linkTargetsOf(was).filter((target) => !kept.has(target.digest));
    await several(gone, (target) => this.#links.lost(target.digest, nowMs));
    if (was.mediaType === now.mediaType && was.size === now.size) return;
    for (let again = 0; again < againMax; again++) {
      const on = (await this.#tags.on(repo, digest)).filter(({ cell }) => onOfCell(cell)?.digest === digest);
      const told = await several(on, (tag) => this.#retold(tag, digest, now));
      if (told.every((done) => done)) return;
    }
    throw busy(`${repo} ${digest}`);
  }

  /** A tag stays where it is, at its version, with what is now known of its manifest. */
  async #retold(tag: Tag, digest: Digest, { mediaType, size }: HeldManifest): Promise<boolean> {
    const [on, { version }] = [onOfCell(tag.cell), stateOfCell(tag)];
    if (on === undefined || version === null || (on.mediaType === mediaType && on.size === size)) return true;
    const plan = await this.#tags.plan(tag, { digest, version, quiet: true });
    return await this.#tags.set(tag, { digest, mediaType, size, version }, plan);
  }

  async remove({ repo, digest, nowMs, of, adopted }: Omit<Whole, 'put' | 'seen'>): Promise<boolean> {
    for (let again = 0; again < againMax; again++) {
      const record = await this.#cells.read(recordAt(repo, digest), recordSaid);
      const known = knownIn<boolean>(record, of);
      if (known !== undefined || !record.live || !record.value) {
        const ended = await this.finishAll({ repo, digest });
        if (known !== undefined) return known.outcome;
        const told = toldIn(of, ended);
        if (told === undefined) return ended;
        const value = record.value ?? null;
        if (await this.#cells.write<HeldManifest | null>(record, { live: false, value, told })) return ended;
        continue;
      }
      const { value } = record;
      const doing: RemovalSaid = { repo, digest, was: value, nowMs };
      const gone = { kind: 'manifest', name: digest, digest: null, referrer: value.subject !== undefined } as const;
      const own = adopted === true ? [] : [gone];
      const by = this.#telling.name(repo, own);
      const [at, begun] = await Promise.all([this.#note(doing), this.#telling.begin(repo, toldBy(own, record, by))]);
      const told = toldIn(of, true);
      if (await this.#cells.write<HeldManifest | null>(record, { live: false, value, by, told })) {
        this.#telling.done(begun);
        await this.#finish(doing);
        await this.#forget(at);
        return true;
      }
      await Promise.all([this.#forget(at), this.#telling.undo(begun)]);
    }
    throw busy(`${repo} ${digest}`);
  }

  /** Where it is noted. */
  async #note(doing: RemovalSaid): Promise<string> {
    const at = doingAt(newName());
    const none = { key: at, version: null, live: false, value: undefined };
    await this.#cells.write<RemovalSaid>(none, { live: true, value: doing });
    return at;
  }

  /** Tags have what their manifest's record says of itself, and are to be told where that changes, which is rare. */
  async #noteReplaced({ live, value: was }: Record, { repo, digest, put, nowMs }: Whole): Promise<string | undefined> {
    if (!live || !was || (was.mediaType === put.mediaType && was.size === put.size)) return undefined;
    return await this.#note({ repo, digest, was, nowMs });
  }

  async #forget(at: string | undefined): Promise<void> {
    if (at !== undefined) await this.#cells.unmark(at);
  }

  /**
   * What somebody began and did not end, or is about to: to end it twice does no harm. Whether `of` was among them; else what
   * cannot be ended, as somebody else wrote there, is thrown once all others are.
   */
  async finishAll(of?: Pick<RemovalSaid, 'repo' | 'digest'>): Promise<boolean> {
    let among = false;
    let wrong: unknown;
    for await (const { key } of this.#cells.keys(DOING)) {
      try {
        const doing = await this.#finishOne(DOING + key);
        among ||= doing !== undefined && doing.repo === of?.repo && doing.digest === of.digest;
      } catch (error) {
        if (!isDamaged(error)) throw error;
        wrong ??= error;
      }
    }
    if (of === undefined && wrong !== undefined) throw wrong;
    return among;
  }

  /** What was ended; undefined: there was nothing to end. */
  async #finishOne(at: string): Promise<RemovalSaid | undefined> {
    const { value } = await this.#cells.read(at, removalSaid);
    if (value === undefined) return undefined;
    const record = await this.#cells.read(recordAt(value.repo, value.digest), recordSaid);
    if (record.live && record.value?.made === value.was.made) {
      // Not begun, but for its note: whoever is about to begin fails, or is later than this.
      if (await this.#cells.write<HeldManifest | null>(record, { live: true, value: record.value }))
        await this.#cells.unmark(at);
      return undefined;
    }
    if (record.live && record.value) await this.#replaced(value, value.was, record.value);
    else await this.#finish(value);
    await this.#cells.unmark(at);
    return value;
  }

  async #finish({ repo, digest, was, nowMs }: RemovalSaid): Promise<void> {
    await this.#tags.buryAll(repo, digest, async () => (await this.read(repo, digest)) === undefined);
    await this.#unmark({ repo, digest }, was);
    const lost = new Set([digest, ...linkTargetsOf(was).map((target) => target.digest)]);
    await several([...lost], (one) => this.#links.lost(one, nowMs));
  }

  /** The marks of a record that is there no more as that write made it. */
  /** The record is not written. */
  async #takeBack(whole: Whole, manifest: HeldManifest, begins: Begins): Promise<undefined> {
    await this.#unmark(whole, manifest);
    await this.#unbegin(begins);
  }

  async #unmark({ repo, digest }: Pick<Whole, 'repo' | 'digest'>, manifest: HeldManifest): Promise<void> {
    const own: LinkTarget = { digest, kind: 'm' };
    const mark = { repo, manifest: digest, by: manifest.made };
    await several([own, ...linkTargetsOf(manifest)], (target) => this.#links.unmark(target, mark));
  }
}

function tagsOn(tags: readonly Tag[], digest: Digest): OutboxChange[] {
  return changedTags(
    tags.map(({ tag }) => tag),
    digest,
  );
}

/** Of a put without tags, what its record remembers. */
function toldAlone({ put, of }: Whole): ToldOf | undefined {
  return put.tags.length === 0 ? toldIn(of, { missing: [] }) : undefined;
}

function toldBy(changes: readonly OutboxChange[], cell: Record, by: string): ToldChange[] {
  return changes.map((change) => ({ ...change, cell, by }));
}

/** The first that is not where the put was to find it. */
function changedAmong(tags: readonly Tag[], after: ManifestWrite['after']): ManifestOutcome['changed'] {
  for (const tag of tags) {
    const state = stateOfCell(tag);
    if (!follows(state, after)) return { tag: tag.tag, version: state.version };
  }
  return undefined;
}

/**
 * Brings what others have put into a backend (Kraken, a Docker registry) into the index, a step at a time, as a reconcile
 * does, and says what is broken there: so an index knows all of it from its first day, and lists it.
 *
 * Rule 1: a tag that is here stays, unless it is to be overwritten: then it is written here, and by that to the backend. One
 *   that came from there and was not written here since follows it, as it does when it is read.
 * Rule 2: what cannot be pulled is not brought: a tag whose manifest, or one of its blobs, is not there.
 * Rule 3: nothing is removed there. Of a backend of which nobody has said whether others write there, nothing is brought.
 */

import { setFlagsFromString } from 'node:v8';
import { ApiError } from '../../core/contracts/errors.ts';
import {
  foreignNamesMax,
  type ImportStep,
  type ReconcileReply,
  type ReconcileStep,
} from '../../core/contracts/reconcile.ts';
import { repositoryMatches } from '../../core/oci/pattern.ts';
import type { Backend } from '../../platform/backends/backend.ts';
import type { TagsBacked } from '../../platform/backends/backends.ts';
import type { LinkObject } from '../../platform/backends/links.ts';
import { Bringer } from './adopt.ts';
import { ListedSizes } from './listed.ts';
import { lookAt, togetherMax } from './look.ts';
import { answered, cursorOf, pageUnder, placeIn, plainName } from './pages.ts';
import type { StepPatience } from './patience.ts';
import type { ReconcileParts } from './reconcile.ts';
import { WholeCheck } from './whole.ts';

/** Of one backend. */
type Known = { readonly of: TagsBacked; readonly whole: WholeCheck; readonly sizes: ListedSizes };
type Asked = ReconcileStep & { readonly import: ImportStep };
/** Keys of one backend that are walked through: those of tags, and those of blobs where they rest apart. */
type Place = { readonly name: string; readonly backend: Backend; readonly prefixes: readonly string[] };

/** What we put anywhere: probes, records. */
const own = ['_shoal/', '.shoal/'];

/**
 * Of V8, from the first import on: that the heap may grow by so much between two collections of all of it, and that the
 * nursery stays as it is. Else the garbage of thousands of small requests grows to 250 MB before V8 looks for it.
 */
const frugal = ['--heap-growing-percent=30', '--semi-space-growth-factor=1'];

export class Importer {
  readonly #parts: ReconcileParts;
  /** Of the import that began last; it only spares questions. */
  #known: Known | undefined;

  constructor(parts: ReconcileParts) {
    this.#parts = parts;
  }

  async step(asked: Asked, signal: AbortSignal): Promise<ReconcileReply> {
    const backed = this.#source(asked);
    if (this.#known === undefined) for (const flag of frugal) setFlagsFromString(flag);
    const places = placesOf(backed, asked.repositories);
    const known = this.#knownOf(backed, asked.from === undefined);
    const { place, after } =
      asked.from === undefined ? { place: places[0]?.name, after: undefined } : placeIn(asked.from);
    const at = places.findIndex(({ name }) => name === place);
    if (at < 0)
      throw new ApiError('REQUEST_INVALID', `${asked.from} is no place in an import from ${backed.name}: begin anew`);
    const { name, backend, prefixes } = places[at] as Place;
    return await answered({ name: backend.name, signal, silentMs: this.#parts.silentMs }, async (patience) => {
      const page = await pageUnder(backend, { prefixes, after, max: asked.keys }, patience);
      known.sizes.listed(page.objects);
      const keys = page.objects.map(({ key }) => key);
      const found = await this.#brought(keys, known, asked, patience);
      const following = places[at + 1];
      const next =
        page.next === undefined ? following && cursorOf(following.name, undefined) : cursorOf(name, page.next);
      if (next === undefined && this.#known === known) this.#known = undefined;
      return { looked: keys.length, ...found, ...(next !== undefined && { next }) };
    });
  }

  async #brought(keys: readonly string[], { of: backed, whole, sizes }: Known, asked: Asked, patience: StepPatience) {
    const { store, backends } = this.#parts;
    const wanted: LinkObject[] = [];
    const foreign: string[] = [];
    const refused = new Map<string, string | undefined>();
    for (const key of keys) {
      const object = backed.layout.links.linkOf(key);
      if (object === undefined) {
        if (isForeign(key, backed)) foreign.push(key);
        continue;
      }
      if (asked.repositories !== undefined && !repositoryMatches([asked.repositories], object.repo)) continue;
      const rests = backends.of(object.repo)?.name;
      if (rests === backed.name) wanted.push(object);
      else refused.set(object.repo, rests);
    }
    const { overwrite } = asked.import;
    const unrecorded = await withoutRecords(backed, new Set(wanted.map(({ repo }) => repo)), patience);
    const how = { dry: !asked.apply, whole, overwrite, seen: { unrecorded, sizes }, moved: () => patience.moved() };
    const bringer = new Bringer({ ...this.#parts, backed, ...how });
    const looked = await lookAt(wanted, { store, backed, bringer, known: true, unrecorded }, patience);
    return {
      ...looked,
      tags: wanted.filter(({ kind, part }) => kind === 'tag' && part === 'link').length,
      foreign: { count: foreign.length, names: foreign.slice(0, foreignNamesMax) },
      refused: [...refused].map(([repo, backend]) => ({ repo, ...(backend !== undefined && { backend }) })),
    };
  }

  #source({ import: { backend }, apply }: Asked): TagsBacked {
    const { backends } = this.#parts;
    const refuse = (why: string): ApiError => new ApiError('REQUEST_INVALID', why);
    const named = backends.named(backend);
    const names = backends.all.map(({ name }) => name).join(', ');
    if (named === undefined) throw refuse(`there is no backend ${backend}: import from one of ${names}`);
    const backed = backends.keepingTags.find(({ name }) => name === backend);
    if (backed === undefined)
      throw refuse(`backend ${backend} has no tags to import: say in its rule where they are (\`tags\`)`);
    if (!backed.tags.can.list)
      throw refuse(
        `backend ${backed.tags.name} cannot list what it has (${backed.tags.kind}): nothing need be imported, each tag is asked of it when it is pulled`,
      );
    if (apply && backed.shared === undefined)
      throw refuse(
        `say in the rule ${backend} whether others write there as well, so that nothing of theirs is ever removed: \`shared: true\`, or \`shared: false\` if only Shoal does from now on; start the index and the origins anew, and import then`,
      );
    if (apply && backed.deletes)
      throw refuse(
        `the rule ${backend} says \`delete\`, and what others have put there is never deleted: leave it out, start the index and the origins anew, and import then`,
      );
    return backed;
  }

  #knownOf(backed: TagsBacked, begins: boolean): Known {
    if (!begins && this.#known?.of === backed) return this.#known;
    const sizes = new ListedSizes(backed.layout);
    this.#known = { of: backed, whole: new WholeCheck(backed, sizes), sizes };
    return this.#known;
  }
}

/** All keys, so that what no scheme made is found, blobs before what names them; of one repository only its own. */
function placesOf(backed: TagsBacked, repositories: string | undefined): Place[] {
  const plain = plainName(repositories);
  const { name, tags, backend, layout } = backed;
  if (plain !== undefined) return [{ name, backend: tags, prefixes: layout.links.under(plain) }];
  const places: Place[] = [{ name, backend: tags, prefixes: [''] }];
  if (backend !== tags && backend.can.list) places.unshift({ name: `${name}/blobs`, backend, prefixes: [''] });
  return places;
}

/** Those of which nothing here was ever written: to ask once a repository is less than once a tag. */
async function withoutRecords(
  { tags, layout }: TagsBacked,
  repos: ReadonlySet<string>,
  patience: StepPatience,
): Promise<Set<string>> {
  const { recordsUnder } = layout.links;
  if (!tags.can.records) return new Set(repos);
  const found = new Set<string>();
  if (recordsUnder === undefined) return found;
  const queue = repos.values();
  const work = async (): Promise<void> => {
    for (const repo of queue) {
      const { objects } = await tags.list(recordsUnder(repo), { max: 1 }, patience.signal);
      patience.moved();
      if (objects.length === 0) found.add(repo);
    }
  };
  await Promise.all(Array.from({ length: togetherMax }, work));
  return found;
}

/** Whether no scheme made the key: neither a blob, nor what a registry keeps beside its links, nor ours. */
function isForeign(key: string, { layout }: TagsBacked): boolean {
  if (layout.digestOf(key) !== undefined || layout.links.beside?.(key) === true) return false;
  return !own.some((start) => key.startsWith(start));
}

/**
 * Entries (platform/tags/move) written as a store in a bucket has them: cells, and the marks that go with them.
 *
 * Rule 1: a mark before its cell, as everywhere: what is there has its marks. Those of what was replaced count for nothing.
 * Rule 2: gates come first, since links lie under the epoch that is theirs. A digest that is condemned once it has links here
 *   is a source that was written to: nothing of that is brought.
 */

import { StartError } from '../../../lifecycle/errors.ts';
import type { Change, Entries, ManifestEntry } from '../../move/entries.ts';
import { type Cell, type Cells, newName } from '../cells/cells.ts';
import { blobSaid, documentSaid, recordSaid, tagSaid } from '../cells/values.ts';
import type { Gates } from '../gates.ts';
import { blobAt, documentAt, gateAt, markAt, nameAt, onAt, recordAt, tagCellAt, toldAt } from '../layout.ts';
import type { Links } from '../links.ts';
import type { BucketParts } from '../parts.ts';
import { type HeldManifest, linkTargetsOf } from '../record.ts';
import { busy } from '../requests/again.ts';
import { several } from '../requests/several.ts';
import { writeBrought, writeOutbox } from './outbox.ts';

type How = Change['how'];

export class BucketMoveWrites {
  readonly #cells: Cells;
  readonly #gates: Gates;
  readonly #links: Links;
  readonly #parts: BucketParts;

  constructor(cells: Cells, parts: BucketParts) {
    this.#cells = cells;
    this.#gates = parts.gates;
    this.#links = parts.links;
    this.#parts = parts;
  }

  /** All but what `about` says. */
  async apply(change: Change): Promise<void> {
    const { how } = change;
    switch (change.kind) {
      case 'unlinked':
        return await this.#unlinked(change.entry, how);
      case 'repo':
        // None ever goes.
        return how === 'remove' ? undefined : await this.#cells.mark(nameAt(change.entry.repo));
      case 'blob':
        return await this.#blob(change.entry, how);
      case 'manifest':
        return await this.#manifest(change.entry, how);
      case 'tag':
        return await this.#tag(change.entry, how);
      case 'brought':
        return await writeBrought(this.#parts, change.entry, how);
      case 'document':
        return await this.#document(change.entry, how);
      case 'outbox':
        return await writeOutbox(this.#parts, change.entry, how);
      default:
        throw new Error(`a bucket has no place for entries of kind ${change.kind}`);
    }
  }

  async #unlinked(entry: Entries['unlinked'], how: How): Promise<void> {
    const { digest } = entry;
    const gate = await this.#gates.read(digest);
    const told = how !== 'remove' && 'toldMs' in entry ? entry : undefined;
    if (told !== undefined && told.generation !== gate.epoch && (await this.#links.among(gate)))
      throw new StartError(
        `${digest} was condemned while it was moved: an index of the source is not read only: empty the target, and begin anew`,
      );
    if (told !== undefined) await this.#cells.mark(toldAt(told.toldMs, digest));
    const epoch = told?.generation ?? gate.epoch;
    const since = how !== 'remove' && 'sinceMs' in entry ? { sinceMs: entry.sinceMs } : {};
    const said = { epoch, ...since, ...(told && { toldMs: told.toldMs }) };
    if (!(await this.#gates.write(gate, said))) throw busy(gateAt(digest));
  }

  async #blob({ digest, repo, size }: Entries['blob'], how: How): Promise<void> {
    const { epoch } = await this.#gates.read(digest);
    const key = blobAt(digest, epoch, repo);
    await this.#write(how === 'add' ? unwritten(key) : await this.#cells.read(key, blobSaid), {
      live: how !== 'remove',
      value: { size },
      again: () => this.#cells.read(key, blobSaid),
    });
  }

  async #manifest(entry: ManifestEntry, how: How): Promise<void> {
    const { repo, digest } = entry;
    const key = recordAt(repo, digest);
    const made = newName();
    const held = heldOf(entry, made);
    if (how !== 'remove') {
      const mark = { repo, manifest: digest, by: made };
      await several([{ digest, kind: 'm' as const }, ...linkTargetsOf(held)], async (target) => {
        const { epoch } = await this.#gates.read(target.digest);
        await this.#cells.mark(markAt(target.digest, epoch, target.kind, mark));
      });
    }
    const again = () => this.#cells.read(key, recordSaid);
    const cell: Cell<HeldManifest | null> = how === 'add' ? unwritten(key) : await again();
    await this.#write(cell, { live: how !== 'remove', value: held, by: made, again });
  }

  async #tag({ repo, tag, version, on }: Entries['tag'], how: How): Promise<void> {
    const key = tagCellAt(repo, tag);
    const made = newName();
    const again = () => this.#cells.read(key, tagSaid);
    const cell = how === 'add' ? unwritten(key) : await again();
    if (how === 'remove') return await this.#write(cell, { live: false, value: { version: null }, again });
    if (on === null) return await this.#write(cell, { live: false, value: { version }, again });
    await this.#cells.mark(onAt(repo, on.digest, { tag, by: made }));
    await this.#write(cell, { live: true, value: { version, on: { ...on, made } }, by: made, again });
  }

  async #document({ name, version, text }: Entries['document'], how: How): Promise<void> {
    const again = () => this.#cells.read(documentAt(name), documentSaid);
    await this.#write(await again(), { live: how !== 'remove', value: { version, text }, again });
  }

  /** At the version of `cell`; where that is another one, at what is there, once more. */
  async #write<T>(
    cell: Cell<T>,
    { again, ...said }: { live: boolean; value: T; by?: string; again: () => Promise<Cell<T>> },
  ): Promise<void> {
    if ((await this.#cells.write(cell, said)) !== undefined) return;
    if ((await this.#cells.write(await again(), said)) === undefined) throw busy(cell.key);
  }
}

function unwritten(key: string): Cell<never> {
  return { key, version: null, live: false, value: undefined };
}

function heldOf(entry: ManifestEntry, made: string): HeldManifest {
  const { mediaType, size, subject, artifactType, annotations, blobs, manifests } = entry;
  return {
    ...{ made, mediaType, size, blobs, manifests },
    ...(subject === null ? {} : { subject }),
    ...(artifactType === null ? {} : { artifactType }),
    ...(annotations === null ? {} : { annotations }),
  };
}

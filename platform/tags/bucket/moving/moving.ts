/**
 * A store in a bucket as a source, and as a target, of a move.
 *
 * Rule 1: while it is being filled its format is far above any (`formatMoving`): each index of any release refuses it.
 * Rule 2: whoever fills it has written its object `about` last: it is made a store at that version only, so that of two moves
 *   at once the later one ends.
 * Rule 3: what waits for others is read as rows (outbox/rows.ts), and written as marks of what is there already.
 */

import { BackendError } from '../../../backends/backend.ts';
import { type ConditionalObjects, PROOF, proveConditions } from '../../../backends/conditional.ts';
import { StartError } from '../../../lifecycle/errors.ts';
import { realClock } from '../../../net/clock.ts';
import type { MoveReading, MoveSource, MoveTarget } from '../../move/engine.ts';
import { type Change, type EntryKind, KINDS } from '../../move/entries.ts';
import { format, formatMoving, noNumbers } from '../about.ts';
import { type Cell, Cells } from '../cells/cells.ts';
import { type StoreSaid, storeSaid } from '../cells/values.ts';
import { ABOUT } from '../layout.ts';
import { type BucketParts, bucketParts } from '../parts.ts';
import { several } from '../requests/several.ts';
import { BucketReading } from './read.ts';
import { BucketMoveWrites } from './write.ts';

const filling = formatMoving + format;
/** Since when a link is idle is said of a digest here, and found out by whoever asks. */
const NO_PLACE: readonly EntryKind[] = ['idle'];

export type MovingBucket = {
  readonly objects: ConditionalObjects;
  /** Of all keys; ends with a slash. */
  readonly prefix: string;
  readonly close: () => Promise<void>;
  readonly signal: AbortSignal;
};

/** Throws StartError where there is none, or it is of another release. What removals have left undone is ended first. */
export async function bucketMoveSource({ objects, prefix, close, signal }: MovingBucket): Promise<MoveSource> {
  const cells = new Cells(objects, prefix, signal);
  const name = nameOf(objects, prefix);
  return await told(name, close, async () => {
    const { value } = await cells.read(ABOUT, storeSaid);
    if (value?.database === undefined) throw new StartError(`${name}: there is no store of an index`);
    if (value.format > formatMoving) throw new StartError(`${name}: a move into it was begun, and has not ended`);
    if (value.format !== format)
      throw new StartError(`${name} has format ${value.format}, this command needs ${format}`);
    const { database } = value;
    const parts = partsOf(cells, database);
    await parts.manifests.finishAll();
    return { name, database, read: async () => new BucketReading(cells, parts), [Symbol.asyncDispose]: close };
  });
}

/** `database`: the identity of the source. Throws StartError where something else is there. */
export async function bucketMoveTarget(
  { objects, prefix, close, signal }: MovingBucket,
  database: string,
): Promise<MoveTarget> {
  const cells = new Cells(objects, prefix, signal);
  const name = nameOf(objects, prefix);
  return await told(name, close, async () => {
    await proveConditions(objects, prefix, signal);
    const about = await cells.read(ABOUT, storeSaid);
    const { value } = about;
    const begun = (value?.format ?? 0) > formatMoving;
    if (begun && value?.database !== database)
      throw new StartError(`${name}: a move of another index, ${value?.database}, into it has not ended`);
    if (begun && value?.format !== filling)
      throw new StartError(`${name}: a move into it was begun by another release: name another \`store.prefix\``);
    if (!begun && value?.database === database)
      throw new StartError(`${name} is the very store that is to be moved: was that done already?`);
    if (!begun) await refuseHeld(objects, prefix, signal);
    const taken = await cells.write(about, { live: true, value: { ...value, format: filling, database } });
    if (taken === undefined) throw new StartError(`${name}: another move is under way there`);
    return new BucketTarget({ name, cells, about: taken, begun, close, of: partsOf(cells, database) });
  });
}

/** Nobody is told of what is moved. */
function partsOf(cells: Cells, database: string): BucketParts {
  return bucketParts(cells, { database, numbers: noNumbers }, { time: realClock });
}

function nameOf(objects: ConditionalObjects, prefix: string): string {
  return `${objects.name} below ${prefix}`;
}

/** What the bucket refuses, or does not answer, in one line; it is closed then. */
async function told<T>(name: string, close: () => Promise<void>, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    await close();
    throw error instanceof BackendError ? new StartError(`${name}: ${error.message}`) : error;
  }
}

async function refuseHeld(objects: ConditionalObjects, prefix: string, signal: AbortSignal): Promise<void> {
  // What a process that was killed proved its bucket with is nothing.
  for await (const { key } of new Cells(objects, prefix, signal).keys('', '', 2))
    if (key !== ABOUT && !key.startsWith(PROOF))
      throw new StartError(
        `${nameOf(objects, prefix)}: ${key} is there already, and a move fills an empty place only: name another \`store.prefix\``,
      );
}

type Parts = {
  readonly name: string;
  readonly cells: Cells;
  readonly about: Cell<StoreSaid>;
  readonly begun: boolean;
  readonly close: () => Promise<void>;
  readonly of: BucketParts;
};

class BucketTarget implements MoveTarget {
  readonly name: string;
  readonly holds: ReadonlySet<EntryKind> = new Set(KINDS.filter((kind) => !NO_PLACE.includes(kind)));
  readonly begun: boolean;
  readonly #parts: Parts;
  readonly #writes: BucketMoveWrites;
  #about: Cell<StoreSaid>;

  constructor(parts: Parts) {
    this.name = parts.name;
    this.begun = parts.begun;
    this.#parts = parts;
    this.#about = parts.about;
    this.#writes = new BucketMoveWrites(parts.cells, parts.of);
  }

  async read(): Promise<MoveReading> {
    return new BucketReading(this.#parts.cells, this.#parts.of);
  }

  async write(changes: readonly Change[]): Promise<void> {
    try {
      await several(changes, async (change) => {
        if (change.kind !== 'numbers' && change.kind !== 'succession') await this.#writes.apply(change);
      });
    } catch (error) {
      throw error instanceof BackendError ? new StartError(`${this.name}: ${error.message}`) : error;
    }
    // What `about` says.
    for (const { kind, how, entry } of changes) {
      if (kind === 'numbers' && how !== 'remove') await this.#say({ numbers: entry });
      if (kind !== 'succession') continue;
      const others = (this.#about.value?.succession ?? []).filter(({ id }) => id !== entry.id);
      const all = how === 'remove' ? others : [...others, entry].sort((a, b) => (a.id < b.id ? -1 : 1));
      await this.#say({ succession: all });
    }
  }

  async finish(): Promise<void> {
    await this.#say({ format });
  }

  async #say(said: Partial<StoreSaid>): Promise<void> {
    const value = { format: filling, ...this.#about.value, ...said };
    const written = await this.#parts.cells.write(this.#about, { live: true, value });
    if (written === undefined)
      throw new StartError(`${this.name}: another move has begun there since: that one goes on`);
    this.#about = written;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.close();
  }
}

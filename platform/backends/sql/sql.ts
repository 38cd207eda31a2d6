/**
 * A database of tags, as Kraken's build-index keeps them, as a backend: tags in Kraken's table, records of ours in another.
 *
 * Rule: every write is one statement, and so is whatever compares before it writes: a connection that is lost leaves it done
 *       or not done, and nothing between.
 */

import { randomUUID } from 'node:crypto';
import {
  type Backend,
  type BackendObject,
  type BackendPage,
  type BackendRead,
  pageKeysMax,
  smallBytesMax,
  type WriteCondition,
} from '../backend.ts';
import { type Keeping, ranged } from './kept.ts';
import { tagAt } from './key.ts';
import { RecordTable } from './records.ts';
import { type Asking, type SqlPlace, SqlTable } from './table.ts';
import { TagTable } from './tags.ts';

export type SqlBackendOptions = SqlPlace & { readonly records: boolean };

export class SqlBackend implements Backend {
  readonly kind = 'sql';
  readonly can: Backend['can'];
  readonly name: string;
  readonly #place: SqlPlace;
  readonly #table: SqlTable;
  readonly #tags: TagTable;
  readonly #records: RecordTable | undefined;

  constructor({ records, ...place }: SqlBackendOptions) {
    this.name = place.backend;
    this.can = { conditions: true, list: true, writes: true, records };
    this.#place = place;
    this.#table = new SqlTable(place);
    this.#tags = new TagTable(this.#table);
    this.#records = records ? new RecordTable(this.#table) : undefined;
  }

  /** Rows that are made and undone: nobody ever sees them, and nothing is to be removed. */
  async probe(signal: AbortSignal): Promise<void> {
    const name = randomUUID();
    await this.#tags.prove(name, asked('write', '', signal));
    await this.#records?.prove(`.shoal/probe-${name}`, asked('write', '', signal));
  }

  async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    const found = await this.#keeping(key).get(asked('look up', key, signal));
    return found && { size: found.bytes.length, version: found.version };
  }

  async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const found = await this.#keeping(key).get(asked('read', key, signal));
    const bytes = ranged(found, range, (why, words) => this.#table.wrong(why, key, words));
    if (bytes.length > 0) yield bytes;
  }

  async write(key: string): Promise<never> {
    throw this.#table.wrong('unsupported', key, 'is not written: a database of tags takes no blobs');
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    signal.throwIfAborted();
    if (bytes.length > smallBytesMax) throw this.#table.wrong('refused', key, `has more than ${smallBytesMax} bytes`);
    const version = await this.#keeping(key).put({ bytes, condition }, asked('write', key, signal));
    return { size: bytes.length, version };
  }

  async list(
    prefix: string,
    { after = '', max }: { after?: string | undefined; max: number },
    signal: AbortSignal,
  ): Promise<BackendPage> {
    const asking = asked('list', prefix, signal);
    const count = Math.min(max, pageKeysMax);
    // One more than is given tells whether there is more.
    const pages = [this.#tags, ...(this.#records === undefined ? [] : [this.#records])].map((table) =>
      table.list({ prefix, after, max: count + 1 }, asking),
    );
    const all = (await Promise.all(pages)).flat().sort((one, two) => (one.key < two.key ? -1 : 1));
    const objects = all.slice(0, count);
    return { objects, next: all.length > count ? objects.at(-1)?.key : undefined };
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    await this.#keeping(key).remove(asked('remove', key, signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#place.connections[Symbol.asyncDispose]();
  }

  #keeping(key: string): Keeping {
    if (tagAt(key) !== undefined) return this.#tags;
    return this.#records ?? this.#none;
  }

  /** Nothing is there; that the server answers is found out all the same. */
  get #none(): Keeping {
    const refuse = async ({ key }: Asking): Promise<never> => {
      throw this.#table.wrong('unsupported', key, 'is no tag, and this rule says `records: false`');
    };
    return {
      get: async (asking) => void (await this.#table.read({ text: 'SELECT 1 AS one', values: [] }, asking)),
      put: (_, asking) => refuse(asking),
      remove: async () => undefined,
      list: async () => [],
    };
  }
}

function asked(doing: string, key: string, signal: AbortSignal): Asking {
  signal.throwIfAborted();
  return { doing, key, signal };
}

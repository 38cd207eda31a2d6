/**
 * Kraken's table of tags: a row a tag, which Kraken reads and writes as well.
 *
 * Rule 1: names are compared by bytes, whatever the table's collation: V1 is not v1.
 * Rule 2: what does not fit its column is refused, and never cut.
 * Rule 3: a version is the row and what it says. Who writes what was there before has the version of before.
 */

import type { BackendError } from '../backend.ts';
import type { SqlResult, SqlRow, Statement } from './connections.ts';
import { type Keeping, type ListAsked, notMet, type Put, type SqlKept, type SqlListed } from './kept.ts';
import { tagAt } from './key.ts';
import { sqlTurnsMax, tagColumns } from './limits.ts';
import type { Asking, SqlTable } from './table.ts';

const printable = /^[\x21-\x7e]*$/;

export class TagTable implements Keeping {
  readonly #table: SqlTable;

  constructor(table: SqlTable) {
    this.#table = table;
  }

  async get(asking: Asking): Promise<SqlKept | undefined> {
    const { rows } = await this.#table.read(
      {
        text: `SELECT id, image_id FROM tags WHERE ${this.#same()} ORDER BY id LIMIT 1`,
        values: this.#names(asking.key),
      },
      asking,
    );
    return rows[0] && keptOf(rows[0]);
  }

  async put({ bytes, condition }: Put, asking: Asking): Promise<string> {
    const image = this.#fitting(bytes, asking.key);
    if (condition !== undefined && condition.version !== null)
      return await this.#replace(image, condition.version, asking);
    for (let turn = 1; ; turn++) {
      if (condition === undefined) {
        const { found } = done(await this.#update(image, ['', []], asking));
        if (found > 0) break;
      }
      if ((await this.#insert(image, asking)) !== 'there already') break;
      if (condition !== undefined && (await this.get(asking)) !== undefined) throw notMet(this.#wrong(asking.key));
      // Somebody has just made it; or what the table takes for the same is there.
      if (turn === sqlTurnsMax || condition !== undefined) throw this.#oneForTheTable(asking.key);
    }
    const now = await this.get(asking);
    if (now === undefined) throw this.#wrong(asking.key)('changed', 'was removed as soon as it was written');
    // Somebody may have written it again since.
    return `${now.version.split(' ')[0]} ${image}`;
  }

  async remove(asking: Asking): Promise<void> {
    await this.#table.read({ text: `DELETE FROM tags WHERE ${this.#same()}`, values: this.#names(asking.key) }, asking);
  }

  /** Without an index where no repository is named: its order is that of names, and ours that of keys. */
  async list({ prefix, after, max }: ListAsked, asking: Asking): Promise<SqlListed[]> {
    const { bytes, joined } = this.#table.dialect;
    const colon = prefix.indexOf(':');
    const within = colon < 0 ? '' : ' AND repository = ?';
    const key = bytes(joined('repository', "':'", 'tag'));
    const begins =
      prefix === ''
        ? ''
        : ` AND ${bytes(`SUBSTR(${joined('repository', "':'", 'tag')}, 1, ${[...prefix].length})`)} = ${bytes('?')}`;
    const values = [after, ...(colon < 0 ? [] : [prefix.slice(0, colon)]), ...(prefix === '' ? [] : [prefix])];
    const { rows } = await this.#table.read(
      {
        text: `SELECT repository, tag, image_id FROM tags WHERE ${key} > ${bytes('?')}${within}${begins} ORDER BY ${key} LIMIT ${max}`,
        values,
      },
      asking,
    );
    return rows.map(({ repository, tag, image_id: image }) => ({
      key: `${repository}:${tag}`,
      size: Buffer.byteLength(String(image)),
    }));
  }

  /** A row that is made and undone. */
  async prove(name: string, asking: Asking): Promise<void> {
    await this.#table.prove(this.#inserting('none', ['_shoal/probe', name]), asking);
  }

  #same(): string {
    const { bytes } = this.#table.dialect;
    const equal = (column: string) => `${column} = ? AND ${bytes(column)} = ${bytes('?')}`;
    return `${equal('repository')} AND ${equal('tag')}`;
  }

  #names(key: string): string[] {
    const { repository = '', tag = '' } = tagAt(key) ?? {};
    return [repository, repository, tag, tag];
  }

  async #replace(image: string, version: string, asking: Asking): Promise<string> {
    const [id = '', before = ''] = version.split(' ');
    const numbered = /^\d{1,19}$/.test(id);
    const { found } = numbered
      ? done(await this.#update(image, [` AND id = ${id} AND image_id = ?`, [before]], asking))
      : { found: 0 };
    if (found === 0) throw notMet(this.#wrong(asking.key));
    return `${id} ${image}`;
  }

  #update(image: string, [more, values]: readonly [string, string[]], asking: Asking) {
    return this.#table.write(
      {
        text: `UPDATE tags SET image_id = ?, updated_at = ? WHERE ${this.#same()}${more}`,
        values: [image, this.#now(), ...this.#names(asking.key), ...values],
      },
      asking,
    );
  }

  #insert(image: string, asking: Asking) {
    const { repository = '', tag = '' } = tagAt(asking.key) ?? {};
    return this.#table.write(this.#inserting(image, [repository, tag]), asking);
  }

  #inserting(image: string, [repository, tag]: readonly [string, string]): Statement {
    const now = this.#now();
    return {
      text: 'INSERT INTO tags (repository, tag, image_id, created_at, updated_at) VALUES (?, ?, ?, ?, ?)',
      values: [repository, tag, image, now, now],
    };
  }

  #now() {
    return this.#table.dialect.time(new Date());
  }

  #fitting(bytes: Uint8Array, key: string): string {
    const { repository = '', tag = '' } = tagAt(key) ?? {};
    const image = Buffer.from(bytes).toString('latin1');
    const wrong = this.#wrong(key);
    if (repository.length > tagColumns.repository || tag.length > tagColumns.tag)
      throw wrong(
        'refused',
        `has a longer name than the table's columns, ${tagColumns.repository} and ${tagColumns.tag}`,
      );
    if (image.length > tagColumns.imageId || !printable.test(image))
      throw wrong('refused', `is no digest: a tag of this table is at most ${tagColumns.imageId} printable characters`);
    return image;
  }

  #oneForTheTable(key: string): BackendError {
    return this.#wrong(key)(
      'unsupported',
      'cannot be written beside another tag that the table takes for the same, as it is compared without case: make that `tag varchar(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL` (ALTER TABLE tags MODIFY …)',
    );
  }

  #wrong(key: string) {
    return (why: BackendError['why'], words: string): BackendError => this.#table.wrong(why, key, words);
  }
}

/** An update that is refused, as what it sets is there already, has found nothing. */
function done(result: SqlResult | 'there already'): Pick<SqlResult, 'found'> {
  return result === 'there already' ? { found: 0 } : result;
}

function keptOf({ id, image_id: image }: SqlRow): SqlKept {
  return { bytes: Buffer.from(String(image)), version: `${id} ${image}` };
}

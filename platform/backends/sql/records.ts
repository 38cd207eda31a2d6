/**
 * Records of our own, in a table that Kraken does not know: any key, any bytes, and a version that each write makes anew.
 */

import { randomUUID } from 'node:crypto';
import type { BackendError } from '../backend.ts';
import type { SqlResult } from './connections.ts';
import { type Keeping, type ListAsked, notMet, type Put, type SqlKept, type SqlListed } from './kept.ts';
import { recordKeyMax } from './limits.ts';
import type { Asking, SqlTable } from './table.ts';

const ascii = /^[\x20-\x7e]*$/;
const insert = 'INSERT INTO shoal_records (record, bytes, version, updated_at) VALUES (?, ?, ?, ?)';

export class RecordTable implements Keeping {
  readonly #table: SqlTable;

  constructor(table: SqlTable) {
    this.#table = table;
  }

  async get(asking: Asking): Promise<SqlKept | undefined> {
    if (!fits(asking.key)) return undefined;
    const { rows } = await this.#table.read(
      { text: 'SELECT bytes, version FROM shoal_records WHERE record = ?', values: [asking.key] },
      asking,
    );
    const [row] = rows;
    return row && { bytes: row['bytes'] as Uint8Array, version: String(row['version']) };
  }

  async put({ bytes, condition }: Put, asking: Asking): Promise<string> {
    const { key } = asking;
    const wrong = (why: BackendError['why'], words: string): BackendError => this.#table.wrong(why, key, words);
    if (!fits(key)) throw wrong('refused', `is no key for this table: ${recordKeyMax} characters of ASCII at most`);
    const version = randomUUID();
    const found = (result: SqlResult | 'there already'): number => (result === 'there already' ? 0 : result.found);
    const now = this.#table.dialect.time(new Date());
    const values = [key, bytes, version, now];
    const text = condition === undefined ? `${insert} ${this.#table.dialect.upsert}` : insert;
    const written =
      typeof condition?.version === 'string'
        ? await this.#table.write(
            {
              text: 'UPDATE shoal_records SET bytes = ?, version = ?, updated_at = ? WHERE record = ? AND version = ?',
              values: [bytes, version, now, key, condition.version],
            },
            asking,
          )
        : await this.#table.write({ text, values }, asking);
    if (found(written) === 0) throw notMet(wrong);
    return version;
  }

  /** A row that is made and undone. */
  async prove(name: string, asking: Asking): Promise<void> {
    const values = [name, Buffer.from('probe'), 'probe', this.#table.dialect.time(new Date())];
    await this.#table.prove({ text: insert, values }, asking);
  }

  async remove(asking: Asking): Promise<void> {
    await this.#table.read({ text: 'DELETE FROM shoal_records WHERE record = ?', values: [asking.key] }, asking);
  }

  async list({ prefix, after, max }: ListAsked, asking: Asking): Promise<SqlListed[]> {
    const begins = prefix === '' ? '' : ' AND record >= ? AND record < ?';
    const { rows } = await this.#table.read(
      {
        text: `SELECT record, LENGTH(bytes) AS size FROM shoal_records WHERE record > ?${begins} ORDER BY record LIMIT ${max}`,
        values: prefix === '' ? [after] : [after, prefix, `${prefix}\x7f`],
      },
      asking,
    );
    return rows.map(({ record, size }) => ({ key: String(record), size: Number(size) }));
  }
}

function fits(key: string): boolean {
  return key.length > 0 && key.length <= recordKeyMax && ascii.test(key);
}

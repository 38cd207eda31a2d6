/** A backend in a file of SQLite, for the test that adds it as a kind (toy.test.ts): all that a kind has to be. */

import { createHash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import {
  type Backend,
  BackendError,
  type BackendObject,
  type BackendPage,
  type BackendRead,
  type ObjectSource,
  smallBytesMax,
  type WriteCondition,
} from '../../../platform/backends/backend.ts';

type Row = { readonly bytes: Uint8Array; readonly version: number };
/** Of SQLite's own way to wait for another process. */
const busyMsMax = 30_000;

export class ToyBackend implements Backend {
  readonly kind = 'toy';
  readonly can = { conditions: true, list: true, writes: true, records: true };
  readonly name: string;
  readonly #db: DatabaseSync;

  constructor(name: string, file: string) {
    this.name = name;
    this.#db = new DatabaseSync(file, { timeout: busyMsMax });
    this.#db.exec('PRAGMA journal_mode=WAL');
    this.#db.exec('CREATE TABLE IF NOT EXISTS objects (key BLOB PRIMARY KEY, bytes BLOB NOT NULL, version INTEGER)');
    this.#db.exec('CREATE TABLE IF NOT EXISTS written (versions INTEGER PRIMARY KEY AUTOINCREMENT)');
  }

  async probe(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#row('');
  }

  async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    signal.throwIfAborted();
    const row = this.#row(key);
    return row && { size: row.bytes.length, version: `${row.version}` };
  }

  async *read(key: string, { start, end, version }: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const row = this.#row(key);
    if (row === undefined) throw new BackendError('missing', `${this.name}: there is no object ${key}`);
    if (version !== undefined && version !== `${row.version}`)
      throw new BackendError('changed', `${this.name}: ${key} was written anew: read it again`);
    if (end > row.bytes.length) throw new BackendError('damaged', `${this.name}: ${key} is shorter: look at it`);
    for (let at = start; at < end; at += 65_536) {
      signal.throwIfAborted();
      yield row.bytes.subarray(at, Math.min(end, at + 65_536));
    }
  }

  async write(key: string, { size, digest, read }: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    const chunks: Buffer[] = [];
    for await (const chunk of read(0, size, signal)) chunks.push(Buffer.from(chunk));
    const bytes = Buffer.concat(chunks);
    if (bytes.length !== size || `sha256:${createHash('sha256').update(bytes).digest('hex')}` !== digest)
      throw new BackendError('damaged', `${this.name}: the bytes for ${key} are not those of ${digest}`);
    return this.#set(key, bytes, signal);
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    if (bytes.length > smallBytesMax)
      throw new BackendError('refused', `${this.name}: ${key} is too large to be put: write it`);
    return this.#set(key, bytes, signal, condition);
  }

  async list(
    prefix: string,
    { after = '', max }: { after?: string | undefined; max: number },
    signal: AbortSignal,
  ): Promise<BackendPage> {
    signal.throwIfAborted();
    const found = this.#db
      .prepare(
        'SELECT key, length(bytes) AS size FROM objects WHERE key > ? AND substr(key, 1, ?) = ? ORDER BY key LIMIT ?',
      )
      .all(Buffer.from(after), Buffer.byteLength(prefix), Buffer.from(prefix), max + 1);
    const objects = found.slice(0, max).map(({ key, size }) => ({
      key: Buffer.from(key as Uint8Array).toString(),
      size: Number(size),
    }));
    return { objects, next: found.length > max ? objects.at(-1)?.key : undefined };
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#db.prepare('DELETE FROM objects WHERE key = ?').run(Buffer.from(key));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#db.close();
  }

  #row(key: string): Row | undefined {
    const row = this.#db.prepare('SELECT bytes, version FROM objects WHERE key = ?').get(Buffer.from(key));
    return row && { bytes: row['bytes'] as Uint8Array, version: Number(row['version']) };
  }

  #set(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): BackendObject {
    signal.throwIfAborted();
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const there = this.#row(key)?.version;
      if (condition !== undefined && condition.version !== (there === undefined ? null : `${there}`))
        throw new BackendError('changed', `${this.name}: ${key} was written by somebody else: read it again`);
      const version = Number(this.#db.prepare('INSERT INTO written DEFAULT VALUES').run().lastInsertRowid);
      this.#db.prepare('INSERT OR REPLACE INTO objects VALUES (?, ?, ?)').run(Buffer.from(key), bytes, version);
      this.#db.exec('COMMIT');
      return { size: bytes.length, version: `${version}` };
    } catch (error) {
      this.#db.exec('ROLLBACK');
      throw error;
    }
  }
}

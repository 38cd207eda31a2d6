/**
 * What each database calls what we need of it: Kraken's table as gorm 1 makes it for Kraken's model, our own beside it, and
 * comparing by bytes.
 *
 * Rule: in a table that we make, V1 and v1 are two tags. In one that somebody else has made they may be one for its unique
 *       index; then they are told apart in whatever is read, and the second is refused (tags.ts).
 */

import { recordKeyMax, tagColumns } from './limits.ts';

export type Dialect = {
  readonly create: readonly string[];
  /** As bytes, for comparing and for order. */
  readonly bytes: (expression: string) => string;
  readonly joined: (...expressions: readonly string[]) => string;
  /** What replaces a row of the same key. */
  readonly upsert: string;
  /** A time as its column takes it. */
  readonly time: (at: Date) => string | Date;
  readonly begin: string;
};

const { repository, tag, imageId } = tagColumns;
const index = 'CREATE INDEX IF NOT EXISTS repository ON tags (repository)';
/** Made with its table: between a table and an index that is made after it, others write a tag twice, and then no index can be. */
const unique = 'CONSTRAINT repository_tag UNIQUE (repository, tag)';
const concat = (...expressions: readonly string[]): string => `(${expressions.join(' || ')})`;
const onConflict =
  'ON CONFLICT (record) DO UPDATE SET bytes = excluded.bytes, version = excluded.version, updated_at = excluded.updated_at';

const mysql: Dialect = {
  create: [
    `CREATE TABLE IF NOT EXISTS tags (id bigint unsigned NOT NULL AUTO_INCREMENT, repository varchar(${repository}) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, tag varchar(${tag}) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, image_id varchar(${imageId}) NOT NULL, created_at datetime NULL, updated_at datetime NULL, PRIMARY KEY (id), UNIQUE KEY repository_tag (repository, tag), KEY repository (repository)) ENGINE=InnoDB`,
    `CREATE TABLE IF NOT EXISTS shoal_records (record varchar(${recordKeyMax}) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, bytes mediumblob NOT NULL, version varchar(64) NOT NULL, updated_at datetime NULL, PRIMARY KEY (record)) ENGINE=InnoDB`,
  ],
  bytes: (expression) => `CAST(${expression} AS BINARY)`,
  joined: (...expressions) => `CONCAT(${expressions.join(', ')})`,
  upsert: 'ON DUPLICATE KEY UPDATE bytes = VALUES(bytes), version = VALUES(version), updated_at = VALUES(updated_at)',
  time: (at) => at.toISOString().slice(0, 19).replace('T', ' '),
  begin: 'START TRANSACTION',
};

const postgres: Dialect = {
  create: [
    `CREATE TABLE IF NOT EXISTS tags (id bigserial PRIMARY KEY, repository varchar(${repository}) NOT NULL, tag varchar(${tag}) NOT NULL, image_id varchar(${imageId}) NOT NULL, created_at timestamptz, updated_at timestamptz, ${unique})`,
    index,
    `CREATE TABLE IF NOT EXISTS shoal_records (record varchar(${recordKeyMax}) COLLATE "C" PRIMARY KEY, bytes bytea NOT NULL, version varchar(64) NOT NULL, updated_at timestamptz)`,
  ],
  bytes: (expression) => `(${expression})::text COLLATE "C"`,
  joined: concat,
  upsert: onConflict,
  time: (at) => at,
  begin: 'BEGIN',
};

const sqlite: Dialect = {
  create: [
    `CREATE TABLE IF NOT EXISTS tags (id integer PRIMARY KEY AUTOINCREMENT, repository varchar(${repository}) NOT NULL, tag varchar(${tag}) NOT NULL, image_id varchar(${imageId}) NOT NULL, created_at datetime, updated_at datetime, ${unique})`,
    index,
    `CREATE TABLE IF NOT EXISTS shoal_records (record varchar(${recordKeyMax}) NOT NULL PRIMARY KEY, bytes blob NOT NULL, version varchar(64) NOT NULL, updated_at datetime)`,
  ],
  bytes: (expression) => `(${expression}) COLLATE BINARY`,
  joined: concat,
  upsert: onConflict,
  // As the driver of Kraken's writes it, and reads it.
  time: (at) => at.toISOString().replace('T', ' ').replace('Z', '+00:00'),
  begin: 'BEGIN IMMEDIATE',
};

export const dialects = { mysql, postgres, sqlite } as const;

/** The kind sql against servers as they are set up elsewhere: TLS, few connections, passwords that change, Kraken's collation. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../../platform/backends/backend.ts';
import { bytesOf, never } from '../../../platform/backends/objects.fixtures.ts';
import { sqlSchema } from '../../../platform/backends/sql/config.ts';
import { openSql } from '../../../platform/backends/sql/open.ts';
import { temporary } from '../processes.ts';
import { type DatabaseServer, sqlUser } from './servers/databases.ts';
import { startMariadb } from './servers/mariadb.ts';
import { startPostgres } from './servers/postgres.ts';
import { started } from './servers/server.ts';
import { certificateIn } from './servers/tls.ts';

const digest = (letter: string) => Buffer.from(`sha256:${letter.repeat(64)}`);
const key = 'library/app:v1';
/** Strictness is what we ask for, whatever the server is set to. */
const starts = {
  mariadb: (dir: string) => {
    const { cert, key } = certificateIn(dir);
    return startMariadb(dir, [`--ssl-cert=${cert}`, `--ssl-key=${key}`, '--sql-mode=']);
  },
  postgres: (dir: string) => {
    const { cert, key } = certificateIn(dir);
    const tls = ['ssl=on', `ssl_cert_file=${cert}`, `ssl_key_file=${key}`];
    return startPostgres(dir, { more: tls.flatMap((one) => ['-c', one]), auth: 'scram-sha-256' });
  },
};

const text = async (backend: Backend, key: string): Promise<string | undefined> => {
  const found = await backend.stat(key, never);
  return found && String(await bytesOf(backend.read(key, { start: 0, end: found.size }, never)));
};

describe.each(['mariadb', 'postgres'] as const)('%s', (which) => {
  const stack = new AsyncDisposableStack();
  let server: DatabaseServer;
  let dir: string;
  beforeAll(async () => {
    dir = await temporary(stack, 'sql');
    server = await started(stack, starts[which]);
  });
  afterAll(() => stack.disposeAsync());

  const open = (more: object = {}): Promise<Backend> =>
    openSql(sqlSchema.parse(server.settings(more)), { name: 'main' });

  test('TLS: its authority is named with `tls.ca`, its name is looked at, and it is really spoken', async () => {
    const ca = join(server.directory, 'cert.pem');
    await using right = await open({ host: 'localhost', tls: { ca } });
    await right.put(key, digest('a'), never);
    expect(await text(right, key)).toBe(String(digest('a')));
    await using unknown = await open({ host: 'localhost', tls: true });
    await expect(unknown.stat(key, never)).rejects.toMatchObject({
      why: 'unavailable',
      message: expect.stringMatching(/`tls.ca`/),
    });
    // Its certificate is for localhost; of MySQL's library the configuration allows no address.
    if (which === 'mariadb') return;
    await using other = await open({ host: '127.0.0.1', tls: { ca } });
    await expect(other.stat(key, never)).rejects.toMatchObject({
      why: 'unavailable',
      message: expect.stringMatching(/as `host`/),
    });
  });

  test('a password is taken from its file as it is by now, and is in no message', async () => {
    const file = join(dir, 'password');
    await writeFile(file, 'wrong-secret\n');
    await using backend = await open({ password: undefined, passwordFile: file });
    await expect(backend.stat(key, never)).rejects.toMatchObject({
      why: 'credentials',
      message: expect.not.stringMatching(/wrong-secret/),
    });
    await writeFile(file, `${sqlUser.password}\n`);
    await backend.put(key, digest('b'), never);
    await writeFile(file, 'wrong-secret\n');
    await expect(backend.stat(key, never)).rejects.toMatchObject({ why: 'credentials' });
  });

  test('a server that has no connection left is asked later', async () => {
    const limits = {
      mariadb: (n: number) => `ALTER USER '${sqlUser.username}'@'%' WITH MAX_USER_CONNECTIONS ${n}`,
      postgres: (n: number) => `ALTER ROLE ${sqlUser.username} CONNECTION LIMIT ${n || -1}`,
    };
    await server.asAdmin(limits[which](1));
    try {
      await using one = await open({ connections: 1 });
      await one.stat(key, never);
      await using more = await open();
      await expect(more.stat(key, never)).rejects.toMatchObject({ why: 'throttled' });
      // As many as the pool has, however many ask.
      await Promise.all(Array.from({ length: 20 }, () => one.stat(key, never)));
    } finally {
      await server.asAdmin(limits[which](0));
    }
  });

  test('writers that get into each other’s way are told to try again, and never leave half of anything', async () => {
    await using backend = await open();
    const keys = Array.from({ length: 10 }, (_, n) => `library/app:t${n}`);
    const writes = keys.flatMap((key) =>
      ['a', 'b', 'c', 'd', 'e', 'f'].map(async (letter) => await backend.put(key, digest(letter), never)),
    );
    for (const end of await Promise.allSettled(writes))
      if (end.status === 'rejected') expect(end.reason).toMatchObject({ why: 'unavailable' });
    for (const key of keys) expect(await text(backend, key)).toMatch(/^sha256:([a-f])\1{63}$/);
    expect((await backend.list('library/app:t', { max: 100 }, never)).objects).toHaveLength(10);
  });
});

describe("mariadb, with Kraken's table in the collation that it gets there", () => {
  const stack = new AsyncDisposableStack();
  let server: DatabaseServer;
  beforeAll(async () => {
    server = await started(stack, (dir) => startMariadb(dir));
  });
  afterAll(() => stack.disposeAsync());

  test.each(['latin1 COLLATE latin1_swedish_ci', 'utf8mb3', 'utf8mb4', 'utf8mb4 COLLATE utf8mb4_unicode_ci'])(
    '%s: V1 is not v1 when it is read, and cannot be written beside it',
    async (charset) => {
      const database = await server.makeDatabase(undefined, `CHARACTER SET ${charset}`);
      const columns =
        'repository varchar(255) NOT NULL, tag varchar(128) NOT NULL, image_id varchar(2056) NOT NULL, created_at datetime NULL, updated_at datetime NULL';
      await server.asAdmin(
        `CREATE TABLE ${database}.tags (id bigint unsigned NOT NULL AUTO_INCREMENT, ${columns}, PRIMARY KEY (id), UNIQUE KEY repository_tag (repository, tag), KEY repository (repository))`,
      );
      await using backend = await openSql(sqlSchema.parse(server.settings({ database })), { name: 'main' });
      await backend.put(key, digest('a'), never);
      expect(await backend.stat('library/app:V1', never)).toBeUndefined();
      for (const condition of [undefined, { version: null }])
        await expect(backend.put('library/app:V1', digest('b'), never, condition)).rejects.toMatchObject({
          why: 'unsupported',
          message: expect.stringMatching(/ascii_bin/),
        });
      await backend.remove('library/app:V1', never);
      expect(await text(backend, key)).toBe(String(digest('a')));
      // What the message says mends it.
      await server.asAdmin(
        `ALTER TABLE ${database}.tags MODIFY tag varchar(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL`,
      );
      await backend.put('library/app:V1', digest('b'), never);
      expect([await text(backend, key), await text(backend, 'library/app:V1')]).toEqual([
        String(digest('a')),
        String(digest('b')),
      ]);
    },
  );
});

/** The kind sql against MariaDB and PostgreSQL: what any database of tags does, and what only servers do. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../../platform/backends/backend.ts';
import { never } from '../../../platform/backends/objects.fixtures.ts';
import type { SqlServerSettings } from '../../../platform/backends/sql/config.ts';
import { sqlSchema } from '../../../platform/backends/sql/config.ts';
import { connectionsTo, openSql } from '../../../platform/backends/sql/open.ts';
import { type EmptyDatabase, sqlConformance } from '../../../platform/backends/sql/suite.fixtures.ts';
import { type DatabaseServer, sqlUser } from './servers/databases.ts';
import { startMariadb } from './servers/mariadb.ts';
import { startPostgres } from './servers/postgres.ts';
import { started } from './servers/server.ts';

const digest = (letter: string) => Buffer.from(`sha256:${letter.repeat(64)}`);
const key = 'library/app:v1';

/** What gorm 1.9.16 says on such a server for Kraken's model, by `AutoMigrate`. */
const krakens = {
  mariadb: [
    'CREATE TABLE `tags` (`id` bigint unsigned AUTO_INCREMENT,`repository` varchar(255) NOT NULL,`tag` varchar(128) NOT NULL,`image_id` varchar(2056) NOT NULL,`created_at` DATETIME NULL,`updated_at` DATETIME NULL , PRIMARY KEY (`id`))',
    'CREATE INDEX repository ON `tags`(`repository`)',
    'CREATE UNIQUE INDEX repository_tag ON `tags`(`repository`, `tag`)',
  ],
  postgres: [
    'CREATE TABLE "tags" ("id" bigserial,"repository" varchar(255) NOT NULL,"tag" varchar(128) NOT NULL,"image_id" varchar(2056) NOT NULL,"created_at" timestamp with time zone,"updated_at" timestamp with time zone , PRIMARY KEY ("id"))',
    'CREATE INDEX repository ON "tags"("repository")',
    'CREATE UNIQUE INDEX repository_tag ON "tags"("repository", "tag")',
  ],
} as const;
const starts = { mariadb: startMariadb, postgres: startPostgres };

describe.each(['mariadb', 'postgres'] as const)('%s', (which) => {
  const stack = new AsyncDisposableStack();
  let server: DatabaseServer;
  beforeAll(async () => {
    server = await started(stack, (dir) => starts[which](dir));
  });
  afterAll(() => stack.disposeAsync());

  const open = (more: object = {}): Promise<Backend> =>
    openSql(sqlSchema.parse(server.settings(more)), { name: 'main' });
  const emptyOf = async (more = ''): Promise<EmptyDatabase & { readonly database: string }> => {
    const database = await server.makeDatabase(undefined, more);
    const raw = await connectionsTo(sqlSchema.parse(server.settings({ database })) as SqlServerSettings, 'raw');
    stack.use(raw);
    return { database, raw, krakens: krakens[which], open: (said = {}) => open({ database, ...said }) };
  };

  describe('as any', () => sqlConformance(() => emptyOf()));

  test('wrong credentials, and a database that is not there, are told; a file with the right ones is read again', async () => {
    await using wrong = await open({ password: 'wrong-secret' });
    const failed =
      which === 'postgres' ? {} : { why: 'credentials', message: expect.not.stringMatching(/wrong-secret/) };
    // PostgreSQL here trusts whoever comes.
    if (which === 'mariadb') await expect(wrong.stat(key, never)).rejects.toMatchObject(failed);
    await using nobody = await open({ username: 'nobody-of-that-name' });
    await expect(nobody.stat(key, never)).rejects.toMatchObject({ why: 'credentials' });
    await using nowhere = await open({ database: 'nowhere' });
    const why = expect.stringMatching(which === 'mariadb' ? /^(denied|missing)$/ : /^missing$/);
    await expect(nowhere.stat(key, never)).rejects.toMatchObject({ why });
  });

  test('who may only read reads, and is told what to allow when it writes', async () => {
    const { database, open: openIt } = await emptyOf();
    await using writer = await openIt();
    await writer.put(key, digest('a'), never);
    await using reader = await open({ database, username: 'reader' });
    expect(await reader.stat(key, never)).toMatchObject({ size: 71 });
    for (const call of [() => reader.put(key, digest('b'), never), () => reader.probe(never)])
      await expect(call()).rejects.toMatchObject({
        why: 'denied',
        message: expect.stringMatching(/: allow this user/),
      });
  });

  test('a server that takes no writes is told from one that is down', async () => {
    const { open: openIt } = await emptyOf();
    await using backend = await openIt();
    await backend.put(key, digest('a'), never);
    const set =
      which === 'mariadb'
        ? ['SET GLOBAL read_only = 1', 'SET GLOBAL read_only = 0']
        : ['on', 'off'].map((to) => `ALTER ROLE ${sqlUser.username} SET default_transaction_read_only = ${to}`);
    await server.asAdmin(set[0] ?? '');
    try {
      await using later = await openIt();
      await expect(later.put(key, digest('b'), never)).rejects.toMatchObject({
        why: 'denied',
        message: expect.stringMatching(/name the primary/),
      });
      expect(await later.stat(key, never)).toMatchObject({ size: 71 });
    } finally {
      await server.asAdmin(set[1] ?? '');
    }
  });

  test('a call that waits for a lock ends with its signal, its connection is not used again, and others go on', async () => {
    const { open: openIt, raw } = await emptyOf();
    await using backend = await openIt({ connections: 2 });
    await backend.put(key, digest('a'), never);
    const locking = raw.undone(
      [
        { text: `UPDATE tags SET image_id = 'locked' WHERE tag = 'v1'`, values: [] },
        { text: which === 'mariadb' ? 'SELECT SLEEP(2)' : 'SELECT pg_sleep(2)', values: [] },
      ],
      never,
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (let i = 0; i < 4; i++)
      await expect(backend.put(key, digest('b'), AbortSignal.timeout(100))).rejects.toThrow(/timeout/);
    expect(await backend.stat(key, never)).toMatchObject({ size: 71 });
    await backend.put('library/app:v2', digest('c'), never);
    await locking;
  });

  test('a server that ends in mid-call is unavailable, and is gone on with once it is back', async () => {
    const { open: openIt } = await emptyOf();
    await using backend = await openIt();
    await backend.put(key, digest('a'), never);
    await server.kill();
    await expect(backend.stat(key, never)).rejects.toMatchObject({ why: 'unavailable' });
    await expect(backend.stat(key, never)).rejects.toMatchObject({
      why: 'unavailable',
      message: expect.stringMatching(
        /^main: cannot look up library\/app:v1 in \w+ d\w+ at 127\.0\.0\.1:\d+: .*ECONNREFUSED/,
      ),
    });
    await server.start();
    expect(await backend.stat(key, never)).toMatchObject({ size: 71 });
  });
});

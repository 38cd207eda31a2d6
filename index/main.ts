/** An index: tag to digest, and what each repository holds. State: one SQLite database. */

import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { openBackends } from '../platform/backends/open.ts';
import { openDoor } from '../platform/host/door.ts';
import { openDataDir } from '../platform/lifecycle/data-dir.ts';
import { runRole } from '../platform/lifecycle/role.ts';
import { openSqliteTags } from '../platform/tags/sqlite.ts';
import { indexRoutes } from './api.ts';
import { indexSchema } from './config.ts';

/** Format of the data directory; the database has a schema version of its own. */
const dataVersion = 1;

await runRole({
  role: 'index',
  schema: indexSchema,
  env: process.env,
  async run(context, stack) {
    const { config, log } = context;
    await openDataDir(config.data, 'index', dataVersion);
    const store = stack.use(
      openSqliteTags({
        file: join(config.data, 'tags.db'),
        onBroken(error) {
          log.fatal({ err: error }, 'the index database failed: the process ends, the next one recovers from its log');
          setImmediate(() => {
            throw error;
          });
        },
      }),
    );
    await openBackends(context, () => 1, stack);
    const readiness = (): Promise<string[]> =>
      store.catalog({ n: 1 }).then(
        () => [],
        (error: unknown) => [(error as Error).message],
      );
    const routes = (app: FastifyInstance): void =>
      indexRoutes(app, store, {
        ...config.manifests,
        keepUnlinkedMs: config.keepUnlinked,
        nowMs: Date.now,
      });
    return { ports: { api: await openDoor(context, { at: config.listen, readiness, routes }, stack) } };
  },
});

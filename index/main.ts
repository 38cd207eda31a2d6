/** An index: tag to digest, and what each repository holds. State: one SQLite database. */

import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { openBackends, proveBackends } from '../platform/backends/open.ts';
import { openDoor } from '../platform/host/door.ts';
import { openDataDir } from '../platform/lifecycle/data-dir.ts';
import { runRole } from '../platform/lifecycle/role.ts';
import { openSqliteTags } from '../platform/tags/sqlite.ts';
import { indexRoutes } from './api.ts';
import type { Backing, BackingParts } from './backing/open.ts';
import { indexSchema } from './config.ts';

/** Format of the data directory; the database has a schema version of its own. */
const dataVersion = 1;

await runRole({
  role: 'index',
  schema: indexSchema,
  env: process.env,
  prove: proveBackends,
  async run(context, stack) {
    const { config, log } = context;
    await openDataDir(config.data, 'index', dataVersion);
    const backends = await openBackends(context, () => 1, stack);
    const backendOf = (repo: string): string | undefined => backends?.owedOf(repo)?.tags && backends.owedOf(repo)?.name;
    const store = stack.use(
      openSqliteTags({
        file: join(config.data, 'tags.db'),
        outbox: backends && { backendOf, nowMs: Date.now },
        onBroken(error) {
          log.fatal({ err: error }, 'the index database failed: the process ends, the next one recovers from its log');
          setImmediate(() => {
            throw error;
          });
        },
      }),
    );
    const backed = backends && (await backing({ ...context, store, backends }, stack));
    const readiness = (): Promise<string[]> =>
      store.catalog({ n: 1 }).then(
        async () => (await backends?.problems()) ?? [],
        (error: unknown) => [(error as Error).message],
      );
    const routes = (app: FastifyInstance): void => {
      backed?.addRoutes(app);
      indexRoutes(app, backed?.answering ?? store, {
        ...config.manifests,
        keepUnlinkedMs: config.keepUnlinked,
        nowMs: Date.now,
        replicas: config.replicas,
        reconcile: backed?.reconcile,
      });
    };
    return { ports: { api: await openDoor(context, { at: config.listen, readiness, routes }, stack) } };
  },
});

/** Loaded only where there are backends. */
async function backing(parts: Omit<BackingParts, 'nowMs'>, stack: AsyncDisposableStack): Promise<Backing> {
  const { openBacking } = await import('./backing/open.ts');
  return openBacking({ ...parts, nowMs: Date.now }, stack);
}

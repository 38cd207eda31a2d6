/** Whether a server can hold what an index knows, and what lies there; nothing is changed by it. */

import { StartError } from '../../lifecycle/errors.ts';
import type { PostgresStore } from '../config.ts';
import type { StoreProof } from '../proof.ts';
import { releaseMin } from './schema/migrate.ts';
import { movingAbove, postgresSteps, versionTable } from './schema/schema.ts';
import { EngineClock } from './server/clock.ts';
import { pgWordsOf } from './server/faults.ts';
import { Primary } from './server/primary.ts';
import { statements } from './server/statements.ts';

const SQL = statements('prove', {
  server: `SELECT current_setting('server_version_num')::int AS release, current_user AS me,
    to_regnamespace($1) IS NOT NULL AS schema, to_regclass($1 || '.${versionTable}') IS NOT NULL AS tables,
    has_database_privilege(current_database(), 'CREATE') AS makes`,
  creates: `SELECT has_schema_privilege($1, 'CREATE') AS may`,
  writes: `SELECT bool_and(has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
      AND has_table_privilege(c.oid, 'DELETE')) AS may, bool_and(pg_has_role(c.relowner, 'USAGE')) AS owns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'`,
  version: `SELECT version FROM ${versionTable}`,
});

type Server = { release: number; me: string; schema: boolean; tables: boolean; makes: boolean };

/** Throws StartError with what is to be done. */
export async function provePostgres(settings: PostgresStore): Promise<StoreProof> {
  await using primary = new Primary(settings, new EngineClock());
  const { schema } = settings;
  const connection = await primary.connect().catch((error: unknown) => {
    throw new StartError(`${primary.name}: ${pgWordsOf(error)}`);
  });
  try {
    const [server] = await connection.all<Server>(SQL.server, schema);
    const { release, me, ...there } = server as Server;
    const wrong = (words: string): StartError => new StartError(`${primary.name}: ${words}`);
    if (release < releaseMin) throw wrong(`it is of release ${release / 10_000}: ${releaseMin / 10_000} or newer`);
    if (!there.schema && !there.makes)
      throw wrong(
        `there is no schema ${schema}, and ${me} may not make one: GRANT CREATE ON DATABASE, or make it first`,
      );
    if (!there.schema) return { proven: 'read', lacks: [`the schema ${schema} yet, which the first start makes`] };
    const may = async (of: typeof SQL.creates | typeof SQL.writes) =>
      (await connection.all<{ may: boolean | null; owns?: boolean | null }>(of, schema))[0];
    if (!there.tables) {
      if ((await may(SQL.creates))?.may !== true)
        throw wrong(`${me} may make no tables in schema ${schema}: give it to ${me}`);
      return { proven: 'read', lacks: ['tables yet, which the first start makes'] };
    }
    const rights = await may(SQL.writes);
    if (rights?.may !== true) throw wrong(`${me} may not write to all tables of schema ${schema}: give them to ${me}`);
    const [at] = await connection.all<{ version: number }>(SQL.version);
    const version = at?.version ?? 0;
    if (version > movingAbove)
      throw wrong(`a move into schema ${schema} has not ended: give \`shoal index move\` again`);
    if (version > postgresSteps.length)
      throw wrong(`schema ${schema} has version ${version}, and this release knows ${postgresSteps.length}`);
    if (version === postgresSteps.length) return { proven: 'read', lacks: [] };
    if (rights.owns !== true)
      throw wrong(`its tables are older, and only their owner can bring them up to date: give them to ${me}`);
    return {
      proven: 'read',
      lacks: [`version ${postgresSteps.length} of its tables (it has ${version}), which the first start makes`],
    };
  } finally {
    await connection.end();
  }
}

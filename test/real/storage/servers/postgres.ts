/** PostgreSQL. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../../platform/testing/ports.ts';
import { need } from '../../programs.ts';
import { DatabaseServer, sqlUser } from './databases.ts';
import { asNobody, givenToNobody } from './nobody.ts';

type Setup = {
  readonly more?: readonly string[] /** How users other than the administrator are known. */;
  readonly auth?: string;
};

export async function startPostgres(dir: string, { more = [], auth = 'trust' }: Setup = {}): Promise<DatabaseServer> {
  const data = join(dir, 'data');
  mkdirSync(data);
  for (const directory of [dir, data]) givenToNobody(directory);
  const port = await freePort();
  const [init = '', ...args] = asNobody(need('initdb'), '-D', data, '-A', 'trust', '-U', 'postgres', '--no-sync');
  execFileSync(init, args, { stdio: 'ignore', cwd: dir });
  await writeFile(
    join(data, 'pg_hba.conf'),
    `host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 ${auth}\nhost all all ::1/128 ${auth}\n`,
  );
  const command = asNobody(
    ...[
      need('postgres'),
      '-D',
      data,
      '-p',
      `${port}`,
      '-k',
      data,
      '-c',
      'listen_addresses=127.0.0.1',
      '-c',
      'fsync=off',
    ],
    ...more,
  );
  const ready = async (): Promise<boolean> => {
    try {
      execFileSync(need('pg_isready'), ['-h', '127.0.0.1', '-p', `${port}`], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  const { username, password } = sqlUser;
  return await DatabaseServer.begin({
    ...{ command, log: join(dir, 'log'), ready, dialect: 'postgres', port, directory: dir },
    admin: { username: 'postgres', database: 'postgres' },
    first: [`CREATE USER ${username} PASSWORD '${password}'`, `CREATE USER reader PASSWORD '${password}'`],
    granted: (database) => [
      `GRANT ALL ON DATABASE ${database} TO ${username}`,
      `GRANT ALL ON SCHEMA public TO ${username}`,
      `ALTER DEFAULT PRIVILEGES FOR USER ${username} GRANT SELECT ON TABLES TO reader`,
    ],
  });
}

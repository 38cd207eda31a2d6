/** MariaDB. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../../../../platform/testing/ports.ts';
import { need } from '../../programs.ts';
import { DatabaseServer, sqlUser } from './databases.ts';
import { asNobody, givenToNobody } from './nobody.ts';

export async function startMariadb(dir: string, more: readonly string[] = []): Promise<DatabaseServer> {
  const data = join(dir, 'data');
  mkdirSync(data);
  for (const directory of [dir, data]) givenToNobody(directory);
  const port = await freePort();
  const made = ['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal', '--skip-test-db'];
  execFileSync(...split(asNobody(need('mariadb-install-db'), ...made)), { stdio: 'ignore' });
  const command = asNobody(
    ...[need('mariadbd'), '--no-defaults', `--datadir=${data}`, `--port=${port}`, '--bind-address=127.0.0.1'],
    ...[`--socket=${join(data, 's')}`, `--pid-file=${join(data, 'pid')}`, '--skip-name-resolve', ...more],
  );
  const { username, password } = sqlUser;
  return await DatabaseServer.begin({
    ...{ command, log: join(dir, 'log'), ready: accepting(port), dialect: 'mysql', port, directory: dir },
    admin: { username: 'root', database: 'mysql' },
    first: [
      `CREATE USER '${username}'@'%' IDENTIFIED BY '${password}'`,
      `CREATE USER 'reader'@'%' IDENTIFIED BY '${password}'`,
    ],
    granted: (database) => [
      `GRANT ALL ON ${database}.* TO '${username}'@'%'`,
      `GRANT SELECT ON ${database}.* TO 'reader'@'%'`,
    ],
  });
}

function split([program = '', ...args]: readonly string[]): [string, string[]] {
  return [program, args];
}

/** Whether a connection is taken. */
export function accepting(port: number): () => Promise<boolean> {
  return () =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('data', () => socket.destroy());
      socket.on('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
}

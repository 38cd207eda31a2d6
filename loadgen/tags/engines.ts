/** The engines that can be tried on this machine: SQLite always, others where their servers are installed. */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { find } from '../../test/real/programs.ts';
import { type Engine, engineOf } from '../indexes/store.ts';

/** Their servers end with the stack. */
export async function enginesHere(stack: AsyncDisposableStack, dir: string): Promise<Engine[]> {
  // PostgreSQL runs as somebody else, who has to get to its own part of it.
  chmodSync(dir, 0o711);
  const engines = [engineOf('sqlite')];
  if (find('postgres') !== undefined) engines.push(await postgres(stack, madeIn(dir, 'postgres')));
  if (find('versitygw') !== undefined) engines.push(await bucket(stack, madeIn(dir, 'bucket')));
  return engines;
}

async function postgres(stack: AsyncDisposableStack, dir: string): Promise<Engine> {
  const { startPostgres } = await import('../../test/real/storage/servers/postgres.ts');
  // As an operator has it: what is acknowledged is on disk, as in SQLite.
  const server = stack.use(await startPostgres(dir, { more: ['-c', 'fsync=on'] }));
  const { host, port, database, username, password } = server.settings();
  return engineOf(`postgres://${username}:${password}@${host}:${port}/${database}`);
}

async function bucket(stack: AsyncDisposableStack, dir: string): Promise<Engine> {
  const { startVersitygw } = await import('../../test/real/storage/servers/versitygw.ts');
  const server = stack.use(await startVersitygw(dir));
  const file = join(dir, 'store.yaml');
  writeFileSync(file, stringify({ store: { kind: 'bucket', backend: server.rule.name }, backends: [server.rule] }));
  return engineOf(file);
}

function madeIn(dir: string, name: string): string {
  const made = join(dir, name);
  mkdirSync(made);
  return made;
}

import { expect, test } from 'vitest';
import { sqlSchema } from './config.ts';

const problems = (settings: object): string[] =>
  (sqlSchema.safeParse(settings).error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
const server = { dialect: 'mysql', host: 'db.internal', database: 'kraken', username: 'shoal' };

test('what is said of a server, or of a file, is enough', () => {
  expect(sqlSchema.parse(server)).toMatchObject({ port: 3306, tls: false, create: true, records: true });
  expect(sqlSchema.parse({ ...server, dialect: 'postgres' })).toMatchObject({ port: 5432 });
  expect(problems({ dialect: 'sqlite', file: '/var/lib/tags.db' })).toEqual([]);
});

test('each setting that is wrong is named with its path', () => {
  expect(problems({})).toEqual([expect.stringMatching(/^dialect: /)]);
  expect(problems({ ...server, dialect: 'oracle' })).toEqual([expect.stringMatching(/^dialect: /)]);
  expect(problems({ dialect: 'mysql' }).map((one) => one.split(':')[0])).toEqual(['host', 'database', 'username']);
  expect(problems({ ...server, host: 'tcp(db:3306)' })).toEqual([expect.stringMatching(/^host: expected the name/)]);
  expect(problems({ ...server, port: 0 })).toEqual([expect.stringMatching(/^port: /)]);
  expect(problems({ ...server, tls: { caFile: 'x' } })).toEqual([expect.stringMatching(/^tls: .*caFile/)]);
  expect(problems({ ...server, password: 'x', passwordFile: '/x' })).toEqual([
    'passwordFile: there is a `password` as well: leave out one',
  ]);
  expect(problems({ ...server, host: '10.0.0.1', tls: true })).toEqual([expect.stringMatching(/^host: with `tls`/)]);
  expect(problems({ ...server, dialect: 'postgres', host: '10.0.0.1', tls: true })).toEqual([]);
  expect(problems({ dialect: 'sqlite', file: 'tags.db' })).toEqual([
    expect.stringMatching(/^file: expected an absolute/),
  ]);
  expect(problems({ dialect: 'sqlite', file: '/tags.db', host: 'db' })).toEqual([expect.stringMatching(/host/)]);
});

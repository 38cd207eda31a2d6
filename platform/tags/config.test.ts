import { describe, expect, test } from 'vitest';
import { type StoreSettings, storeSchema } from './config.ts';

const wrong = (said: object): string => {
  const { error } = storeSchema.safeParse(said);
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
};
const read = (said?: object): StoreSettings => storeSchema.parse(said);
const plain = { kind: 'postgres', tls: false, connections: 8, schema: 'shoal', passwordFile: undefined } as const;

test('without a word it is SQLite, as it always was', () => {
  expect(read()).toEqual({ kind: 'sqlite' });
});

describe('postgres', () => {
  test('a URL says all of it, a password with signs and several hosts included', () => {
    expect(read({ kind: 'postgres', url: 'postgres://me:p%40ss@db-1,db-2:5433,[::1]:7/tags' })).toEqual({
      ...plain,
      hosts: [
        { host: 'db-1', port: 5432 },
        { host: 'db-2', port: 5433 },
        { host: '::1', port: 7 },
      ],
      ...{ database: 'tags', username: 'me', password: 'p@ss' },
    });
    expect(read({ kind: 'postgres', url: 'postgresql://db', passwordFile: '/x' })).toMatchObject({
      ...{ database: 'shoal', username: 'shoal', password: undefined, passwordFile: '/x' },
      hosts: [{ host: 'db', port: 5432 }],
    });
  });

  test('and so do its parts', () => {
    const said = { kind: 'postgres', host: 'a,b:1', port: 6000, database: 'd', username: 'u', password: 'p' };
    expect(read(said)).toEqual({
      ...plain,
      hosts: [
        { host: 'a', port: 6000 },
        { host: 'b', port: 1 },
      ],
      ...{ database: 'd', username: 'u', password: 'p' },
    });
  });

  test.each([
    [{}, 'host: where is the server?'],
    [{ url: 'postgres://db', host: 'db' }, 'url: there is a `host` as well'],
    [{ url: 'postgres://db', database: 'x' }, 'url: there is a `database` as well'],
    [{ url: 'postgres://a:b@db', passwordFile: '/x' }, 'passwordFile: there is a `password` as well'],
    [{ url: 'mysql://db' }, 'url: expected postgres://'],
    [{ url: 'postgres://db/x?sslmode=require' }, 'url: expected postgres://'],
    [{ url: 'postgres://%ff@db' }, 'url: expected postgres://'],
    [{ host: 'a,,b' }, 'host:  is no host'],
    [{ host: 'a:70000' }, 'host: a:70000 is no host'],
    [{ host: 'a,b,c,d,e,f,g,h,i' }, 'host: more than 8'],
    [{ host: 'a', schema: 'Shoal' }, 'schema: expected small letters'],
  ])('%j is refused: %s', (said, why) => {
    expect(wrong({ kind: 'postgres', ...said })).toContain(why);
  });
});

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of the configuration files themselves.
import { expect, test } from 'vitest';
import * as z from 'zod';
import { isLocal, listenAt, placesListened } from './listen.ts';

const schema = z.strictObject({ listen: listenAt(5_000) });
const read = (listen: unknown) => schema.parse({ listen }).listen;
const why = (listen: unknown): string => {
  const { error } = schema.safeParse({ listen });
  return JSON.stringify(error?.issues) ?? 'taken';
};

test('one address, several, sockets', () => {
  expect(schema.parse({}).listen).toEqual({ host: '127.0.0.1', port: 5_000 });
  expect(read({ port: 1 })).toEqual({ host: '127.0.0.1', port: 1 });
  expect(read('0.0.0.0:80')).toEqual({ host: '0.0.0.0', port: 80 });
  expect(read('[::1]:80')).toEqual({ host: '::1', port: 80 });
  const several = read(['unix:/run/a.sock', '10.0.0.1:80', '[::1]:81']);
  expect(several).toMatchObject({ host: '10.0.0.1', port: 80 });
  expect(placesListened(several)).toEqual([
    { host: '10.0.0.1', port: 80 },
    { socket: '/run/a.sock', mode: 0o660 },
    { host: '::1', port: 81 },
  ]);
  expect(placesListened(read({ host: '::', port: 2, also: ['unix:/a'], mode: '0600', allow: ['10.0.0.0/8'] }))).toEqual(
    [
      { host: '::', port: 2 },
      { socket: '/a', mode: 0o600 },
    ],
  );
  expect(placesListened(read(['unix:/a', 'unix:/b'])).map((one) => 'socket' in one && one.socket)).toEqual([
    '/a',
    '/b',
  ]);
});

test('only what a host alone reaches is local', () => {
  expect([read({}), read('localhost:1'), read(['unix:/a', '127.1.2.3:1'])].map(isLocal)).toEqual([true, true, true]);
  expect([read('0.0.0.0:1'), read(['127.0.0.1:1', '10.0.0.1:1'])].map(isLocal)).toEqual([false, false]);
});

test.each([
  ['nowhere', 'expected host:port, or unix:/absolute/path'],
  ['unix:run/a.sock', 'unix:/absolute/path'],
  [`unix:/${'a'.repeat(107)}`, 'unix:/absolute/path'],
  [[], 'too_small'],
  [{ allow: [] }, 'nobody would be let in'],
  [{ allow: ['10.0.0.0/33'] }, 'an address or a network'],
  [{ allow: ['example.com'] }, 'an address or a network'],
  [{ mode: 660 }, 'expected string'],
  [{ mode: '0999' }, 'in quotes'],
])('%j is refused: %s', (listen, text) => expect(why(listen)).toContain(text));

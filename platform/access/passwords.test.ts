import { afterEach, expect, test } from 'vitest';
import type { AccessUser } from '../../core/access/documents.ts';
import { Guesses } from './guesses.ts';
import { comparisonsMax, passwordMatches } from './hashes.ts';
import { hashOf } from './hashing.ts';
import { htpasswdIn } from './htpasswd.ts';
import { Passwords } from './passwords.ts';

// As `htpasswd -nbB alice secret` writes it, made by the C library's crypt(3).
const line = 'alice:$2y$05$cWeJ1NvUzZ.B9HC0W4zGiesxXqkFSYjZyZSnkCXNJEd4EyvhePfEC';
const from = { address: '10.0.0.1' };
const show = (name: string, password: string) => ({ kind: 'basic', name, password }) as const;

let nowMs = 0;
let compared = 0;
let wrong: string[] = [];
afterEach(() => {
  [nowMs, compared, wrong] = [0, 0, []];
});

function passwordsOf(users: Map<string, AccessUser>): Passwords {
  return new Passwords({
    users: () => users,
    matches: (password, hash) => {
      compared++;
      return passwordMatches(password, hash);
    },
    guesses: new Guesses(),
    nowMs: () => nowMs,
    wrong: (name) => wrong.push(name),
  });
}

async function withAlice(): Promise<{ users: Map<string, AccessUser>; passwords: Passwords }> {
  const users = new Map([['alice', { name: 'alice', password: await hashOf('secret'), groups: ['dev'] }]]);
  return { users, passwords: passwordsOf(users) };
}

test('a password proves its user; another one, another name and another kind of proof prove nobody', {
  timeout: 60_000,
}, async () => {
  const { passwords } = await withAlice();
  expect(await passwords.prove(show('alice', 'secret'), from)).toEqual({ name: 'alice', groups: ['dev'] });
  expect(await passwords.prove(show('alice', 'Secret'), from)).toBeUndefined();
  expect(await passwords.prove(show('alice', ''), from)).toBeUndefined();
  expect(await passwords.prove(show('bob', 'secret'), from)).toBeUndefined();
  expect(await passwords.prove({ kind: 'bearer', token: 'secret' }, from)).toBeUndefined();
  expect(wrong).toEqual(['alice', 'alice', 'bob']);
});

test('who was proved is not compared again for a while, nor where many ask at once', { timeout: 60_000 }, async () => {
  const { users, passwords } = await withAlice();
  await Promise.all(Array.from({ length: 30 }, () => passwords.prove(show('alice', 'secret'), from)));
  await passwords.prove(show('alice', 'secret'), { address: '10.9.9.9' });
  expect(compared).toBe(1);
  nowMs += 3_600_000;
  await passwords.prove(show('alice', 'secret'), from);
  expect(compared).toBe(2);
  // Nor is it remembered beyond a change of the password, or of who there is.
  users.set('alice', { name: 'alice', password: await hashOf('other'), groups: [] });
  expect(await passwords.prove(show('alice', 'secret'), from)).toBeUndefined();
  expect(await passwords.prove(show('alice', 'other'), from)).toEqual({ name: 'alice', groups: [] });
  users.delete('alice');
  expect(await passwords.prove(show('alice', 'other'), from)).toBeUndefined();
});

test('who guesses is told to slow down, and who was proved comes in all the same', { timeout: 120_000 }, async () => {
  const { passwords } = await withAlice();
  const elsewhere = { address: '10.0.0.2' };
  expect(await passwords.prove(show('alice', 'secret'), elsewhere)).toBeDefined();
  const said: unknown[] = [];
  for (let i = 0; i < 8; i++) said.push(await passwords.prove(show('alice', `guess ${i}`), from));
  expect(said.slice(0, 4)).toEqual([undefined, undefined, undefined, undefined]);
  expect(said.at(-1)).toBe('slow-down');
  // Not even the right one is looked at now, unless it was seen to be right before.
  expect(await passwords.prove(show('alice', 'secret'), elsewhere)).toBeDefined();
  expect(compared).toBeLessThan(8);
});

test('hashes of htpasswd are taken as they are', { timeout: 60_000 }, async () => {
  const { users: found, problems } = htpasswdIn(line);
  expect(problems).toEqual([]);
  const passwords = passwordsOf(new Map(found.map((user) => [user.name, { ...user, groups: [] }])));
  expect(await passwords.prove(show('alice', 'secret'), from)).toEqual({ name: 'alice', groups: [] });
});

test('comparisons wait for a thread, and so many at most', { timeout: 120_000 }, async () => {
  const hash = await hashOf('secret');
  const all = await Promise.allSettled(
    Array.from({ length: comparisonsMax + 5 }, (_, i) => passwordMatches(`secret${i}`, hash.replace('$10$', '$04$'))),
  );
  const refused = all.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  expect(refused).toHaveLength(5);
  expect(refused[0]).toMatchObject({ code: 'UNAVAILABLE' });
  // Afterwards there is room again.
  expect(await passwordMatches('secret', hash)).toBe(true);
});

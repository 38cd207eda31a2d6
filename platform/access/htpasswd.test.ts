import { expect, test } from 'vitest';
import { htpasswdIn } from './htpasswd.ts';

const hash = `$2y$05$${'a'.repeat(53)}`;

test('a bad line is named, without its hash, and the others count', () => {
  const { users, problems } = htpasswdIn(
    [
      '# users of the old registry',
      `alice:${hash}`,
      'bob:$apr1$12345678$abcdefghijklmnopqrstuv',
      'no colon here',
      `bad name:${hash}`,
      '',
      `carol:${hash}:a comment\r`,
      `dave:$2y$31$${'a'.repeat(53)}`,
    ].join('\n'),
  );
  expect(users.map(({ name }) => name)).toEqual(['alice', 'carol']);
  expect(problems).toEqual([
    'line 3: the password of bob is no bcrypt hash ($2y$, as `htpasswd -B` writes it)',
    'line 4: has no colon: name:hash is expected',
    expect.stringMatching(/^line 5: 'bad name' is no name/),
    'line 8: the password of dave has cost 31: from 4 to 14 are taken',
  ]);
  expect(problems.join()).not.toContain('$apr1$');
});

test('of a name that stands there twice the last line counts', () => {
  const other = `$2y$05$${'b'.repeat(53)}`;
  expect(htpasswdIn(`a:${hash}\na:${other}\n`)).toEqual({ users: [{ name: 'a', password: other }], problems: [] });
});

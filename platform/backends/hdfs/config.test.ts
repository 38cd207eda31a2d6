import { expect, test } from 'vitest';
import { hdfsSchema } from './config.ts';

const right = { nameNodes: ['nn1:9870', '[::1]:9870'], directory: '/infra/dockerRegistry/', user: 'kraken' };

test("Kraken's settings are taken, and its defaults", () => {
  expect(hdfsSchema.parse(right)).toMatchObject({
    directory: '/infra/dockerRegistry',
    uploadDirectory: '_uploads',
    https: false,
  });
  expect(hdfsSchema.parse({ ...right, directory: '/' }).directory).toBe('');
  const token = { ...right, user: undefined, delegationToken: { token: 'HAAEcm9v-_' } };
  expect(hdfsSchema.safeParse(token).success).toBe(true);
});

test.each([
  [{ nameNodes: [] }, 'nameNodes', /Too small/],
  [{ nameNodes: ['nn1'] }, 'nameNodes.0', /HOST:PORT/],
  [{ nameNodes: ['http://nn1:9870'] }, 'nameNodes.0', /HOST:PORT/],
  [{ nameNodes: ['a:1', 'a:1'] }, 'nameNodes', /twice/],
  [{ directory: 'shoal' }, 'directory', /absolute path/],
  [{ directory: '' }, 'directory', /absolute path/],
  [{ directory: '/a/../b' }, 'directory', /part that is/],
  [{ directory: '/a:b' }, 'directory', /absolute path/],
  [{ uploadDirectory: 'a/b' }, 'uploadDirectory', /one name/],
  [{ user: undefined }, 'user', /say who asks/],
  [{ user: 'no one' }, 'user', /name of a user/],
  [{ delegationToken: { token: 'x' } }, 'delegationToken', /leave out one/],
  [{ user: undefined, delegationToken: { token: 'a b' } }, 'delegationToken.token', /urlString/],
  [{ ca: '/ca.pem' }, 'ca', /https: true/],
  [{ port: 1 }, '', /port/],
])('%j is named with its path', (wrong, path, words) => {
  const { issues } = hdfsSchema.safeParse({ ...right, ...wrong }).error ?? { issues: [] };
  expect(issues.map((one) => [one.path.join('.'), one.message])).toEqual([[path, expect.stringMatching(words)]]);
});

/** A library that is not installed is an error that says which one, and what to do; another failure stays what it is. */

import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { library } from './library.ts';

const require = createRequire(import.meta.url);
// Not written as it is in `import()`: what checks types looks for it.
const nobody = ['@shoal-has-none', 'such'].join('/');

test('what is there is loaded', async () => {
  const { parse } = await library('yaml', () => import('yaml'));
  expect(parse('a: 1')).toEqual({ a: 1 });
});

test.each([
  ['import', () => import(nobody)],
  ['import of a file of it', () => import(`${nobody}/lib/some.js`)],
  ['require', async (): Promise<unknown> => require(nobody)],
])('%s of a package that is not there: which one, for which backend, and what to do', async (_, load) => {
  await expect(library(nobody, load, 'main')).rejects.toMatchObject({
    name: 'BackendError',
    why: 'unsupported',
    message: `main: it needs the package ${nobody}, which is not installed: install Shoal with all of its dependencies, or \`npm install ${nobody}\` beside it`,
  });
});

test('a package whose own dependency is not there: both are named', async () => {
  const message = `it needs the package the-sdk, and that needs ${nobody}, which is not installed: install Shoal with all of its dependencies, or \`npm install ${nobody}\` beside it`;
  await expect(library('the-sdk', () => import(nobody))).rejects.toMatchObject({ why: 'unsupported', message });
});

test.each([
  ['a file of ours that is not there', async () => import(['.', 'nowhere.ts'].join('/')), /nowhere/],
  ['one that require does not find', async (): Promise<unknown> => require(['.', 'nowhere.cjs'].join('/')), /nowhere/],
  [
    'a library that fails while it is loaded',
    async () => Promise.reject(new Error('too old a Node')),
    /^too old a Node$/,
  ],
])('%s is told as it is', async (_, load, message) => {
  const error: unknown = await library('the-sdk', load).catch((error: unknown) => error);
  expect(error).toMatchObject({ message: expect.stringMatching(message) });
  expect(error).not.toMatchObject({ name: 'BackendError' });
});

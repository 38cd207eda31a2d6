import { expect, test } from 'vitest';
import { entryUrl } from './entry.ts';

test('in a checkout the entry is the .ts file', () => {
  expect(entryUrl('../agent/main.ts', 'file:///w/cli/up.ts').href).toBe('file:///w/agent/main.ts');
});

test('in the published tree the entry is the .js file, however the path was written', () => {
  expect(entryUrl('../agent/main.ts', 'file:///p/dist/cli/up.js').href).toBe('file:///p/dist/agent/main.js');
  expect(entryUrl('../agent/main.js', 'file:///p/dist/cli/up.js').href).toBe('file:///p/dist/agent/main.js');
});

test('a path that names no source file is refused', () => {
  expect(() => entryUrl('../agent/main', 'file:///w/cli/up.ts')).toThrow('named by its source file');
});

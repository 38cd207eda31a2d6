/** What is refused as unfit for conditional writes, by what it says and by what it does. */

import { expect, test } from 'vitest';
import type { Backend, WriteCondition } from './backend.ts';
import { conditionalObjects, proveConditions } from './conditional.ts';
import { MemoryBackend } from './memory.ts';
import { NoopBackend } from './noop.ts';
import { never } from './objects.fixtures.ts';

type Put = Parameters<Backend['put']>;

/** Says that it has conditions. */
class Careless extends MemoryBackend {
  readonly #heeds: (condition: WriteCondition | undefined) => boolean;
  constructor(heeds: (condition: WriteCondition | undefined) => boolean) {
    super('careless');
    this.#heeds = heeds;
  }
  override put(...[key, bytes, signal, condition]: Put) {
    return super.put(key, bytes, signal, this.#heeds(condition) ? condition : undefined);
  }
}

/** Looks first and writes later. */
class Slow extends MemoryBackend {
  override async put(...[key, bytes, signal, condition]: Put) {
    const there = (await this.stat(key, signal))?.version ?? null;
    await new Promise(setImmediate);
    return super.put(
      key,
      bytes,
      signal,
      condition && { version: there === condition.version ? await this.#now(key) : '-' },
    );
  }
  async #now(key: string): Promise<string | null> {
    return (await this.stat(key, never))?.version ?? null;
  }
}

class Stale extends MemoryBackend {
  override async load(key: string, signal: AbortSignal) {
    const found = await super.load(key, signal);
    return found && { ...found, version: '1' };
  }
}

class Unlisted extends MemoryBackend {
  override async list() {
    return { objects: [], next: undefined };
  }
}

const prove = (backend: Backend) => proveConditions(conditionalObjects(backend), 'x/', never);

test('a server whose conditions hold is taken', () => prove(new MemoryBackend('true')));

test.each([
  ['ignores If-None-Match', new Careless((condition) => condition?.version !== null), /50 of 50 that make one object/],
  ['ignores If-Match', new Careless((condition) => condition?.version === null), /50 of 50 that replace one object/],
  ['looks before it writes', new Slow('slow'), /\d+ of 50 that make one object at once are all told that they did/],
  ['shows what was', new Stale('stale'), /what was written last is not what is read/],
  ['does not list what was written', new Unlisted('unlisted'), /not in the list/],
])('a server that %s is refused with the reason', async (_, backend, reason) => {
  await expect(prove(backend)).rejects.toMatchObject({ why: 'unsupported', message: expect.stringMatching(reason) });
});

test('a backend that says itself that it lacks something is refused by that', () => {
  const noop = new NoopBackend('none');
  expect(() => conditionalObjects(noop)).toThrow(
    /none: it cannot hold what the index knows: a backend is needed where/,
  );
});

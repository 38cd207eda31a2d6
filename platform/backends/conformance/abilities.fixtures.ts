/** What a backend is able to do, and that it says so where it is not: of the conformance suite. */

import { expect, test } from 'vitest';
import type { Backend } from '../backend.ts';
import { type Ability, type Conforming, never, sourceOf } from '../objects.fixtures.ts';

const bytes = Buffer.from('of no importance');
/** What is refused by a backend that lacks an ability. */
const refused: { readonly [ability in Ability]?: Readonly<Record<string, (backend: Backend) => Promise<unknown>>> } = {
  writes: {
    write: (backend) => backend.write('key', sourceOf(bytes), never),
    put: (backend) => backend.put('key', bytes, never),
  },
  conditions: { 'put with a condition': (backend) => backend.put('key', bytes, never, { version: null }) },
  list: { list: (backend) => backend.list('', { max: 1 }, never) },
};

export function abilitiesConformance({ make, can }: Pick<Conforming, 'make' | 'can'>): void {
  test('it can do what its test expects of it, and no more', async () => {
    await using backend = await make();
    await backend.probe(never);
    expect({ ...backend.can }).toEqual(can);
  });

  for (const [ability, calls] of Object.entries(refused))
    if (!can[ability as Ability])
      test.each(Object.entries(calls))(`it has no ${ability}, and so refuses a %s`, async (_, call) => {
        await using backend = await make();
        await backend.probe(never);
        await expect(call(backend)).rejects.toMatchObject({
          why: 'unsupported',
          message: expect.stringContaining(`${backend.name}: `),
        });
      });
}

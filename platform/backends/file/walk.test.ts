import { expect, test } from 'vitest';
import { never } from '../objects.fixtures.ts';
import type { Files } from './files.ts';
import { realFiles } from './real-files.ts';
import { pageOf } from './walk.ts';

/** One directory of so many names, in no order. */
function crowded(count: number): { files: Files; reads: () => number } {
  let reads = 0;
  const files: Files = {
    ...realFiles,
    state: async () => ({ size: 1, id: 'x', mtimeMs: 0, directory: false }),
    async *names() {
      reads += 1;
      for (let i = 0; i < count; i += 100)
        yield Array.from({ length: Math.min(100, count - i) }, (_, n) => ({
          name: String(((i + n) * 7919) % count).padStart(6, '0'),
          directory: false,
        }));
    },
  };
  return { files, reads: () => reads };
}

test('a directory of more names than are kept at once is listed whole, in order', async () => {
  const count = 20_000;
  const { files, reads } = crowded(count);
  const keys: string[] = [];
  for (let after: string | undefined; ; ) {
    const page = await pageOf({ files, root: '/r', signal: never }, '', { after, max: 1000 });
    keys.push(...page.objects.map(({ key }) => key));
    if (page.next === undefined) break;
    after = page.next;
  }
  expect(keys).toEqual(Array.from({ length: count }, (_, i) => String(i).padStart(6, '0')));
  expect(reads()).toBeLessThan(30);
});

import { expect, test } from 'vitest';
import { Serial } from './names.ts';

test('work of one key is done one after the other, in order, whoever fails; that of another is not held up', async () => {
  const serial = new Serial<string>();
  const gates = [0, 1, 2].map(() => Promise.withResolvers<void>());
  const done: string[] = [];
  const work = (key: string, no: number): Promise<void> =>
    serial.run(key, async () => {
      done.push(`${key}${no} begins`);
      await gates[no]?.promise;
      done.push(`${key}${no} ends`);
    });
  const [first, second, other] = [work('a', 0), work('a', 1), work('b', 2)];
  gates[1]?.resolve();
  gates[2]?.resolve();
  await other;
  expect(done).toEqual(['a0 begins', 'b2 begins', 'b2 ends']);
  gates[0]?.reject(new Error('no'));
  await expect(first).rejects.toThrow('no');
  await second;
  expect(done.slice(3)).toEqual(['a1 begins', 'a1 ends']);
  await serial.idle();
});

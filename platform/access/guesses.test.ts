import { expect, test } from 'vitest';
import { type Attempt, Guesses } from './guesses.ts';

/** How many attempts are let through, one after the other, all of them wrong, each as soon as it may be. */
function within(
  guesses: Guesses,
  forMs: number,
  { address, name }: { address: string; name: (n: number) => string },
): number {
  let made = 0;
  for (let now = 0; now < forMs; ) {
    const attempt = guesses.begin(address, name(made), now);
    if (typeof attempt === 'number') now += attempt;
    else made++;
  }
  return made;
}

test('whoever guesses one password has few tries an hour', () => {
  const made = within(new Guesses(), 3_600_000, { address: '10.0.0.1', name: () => 'alice' });
  expect(made).toBeGreaterThan(4);
  expect(made).toBeLessThan(80);
});

test('whoever tries many names from one address has few as well', () => {
  const made = within(new Guesses(), 3_600_000, { address: '10.0.0.1', name: (n) => `user${n}` });
  expect(made).toBeLessThan(200);
});

test('nobody elsewhere is kept out by it', () => {
  const guesses = new Guesses();
  for (let i = 0; i < 100; i++) guesses.begin('10.0.0.1', 'alice', 0);
  expect(guesses.begin('10.0.0.1', 'alice', 0)).toBeTypeOf('number');
  expect(guesses.leftMs('10.0.0.1', 'alice', 0)).toBeGreaterThan(0);
  expect(guesses.begin('10.0.0.2', 'alice', 0)).toBeTypeOf('object');
  expect(guesses.leftMs('10.0.0.2', 'alice', 0)).toBe(0);
});

test('many at once are no way round, and what was right does not count', () => {
  const guesses = new Guesses();
  const begun = Array.from({ length: 20 }, () => guesses.begin('10.0.0.1', 'alice', 0));
  const let_ = begun.filter((one): one is Attempt => typeof one === 'object');
  expect(let_.length).toBeLessThan(6);
  let_.at(-1)?.right();
  expect(guesses.begin('10.0.0.1', 'alice', 0)).toBeTypeOf('object');
  // Hundreds that are right, from behind one address.
  for (let i = 0; i < 500; i++) {
    const attempt = guesses.begin('10.0.0.9', `user${i}`, 0);
    if (typeof attempt === 'number') throw new Error('held up');
    attempt.right();
  }
});

test('one that nobody looked at does not count either, and who was quiet begins anew', () => {
  const guesses = new Guesses();
  for (let i = 0; i < 50; i++) {
    const attempt = guesses.begin('10.0.0.1', 'alice', 0);
    if (typeof attempt === 'number') throw new Error('held up');
    attempt.void();
  }
  for (let i = 0; i < 50; i++) guesses.begin('10.0.0.1', 'alice', 0);
  expect(guesses.begin('10.0.0.1', 'alice', 0)).toBeTypeOf('number');
  expect(guesses.begin('10.0.0.1', 'alice', 3_600_000)).toBeTypeOf('object');
});

/** Time that passes as fast as what is tested allows. */

import type { VirtualClock } from '../../net/clock.fixtures.ts';

const stepMs = 10;
const stepsMax = 100_000;

/** What `answer` gives, while the clock goes on; and how long it took. */
export async function passing<T>(clock: VirtualClock, answer: Promise<T>): Promise<{ given: T; ms: number }> {
  const begunMs = clock.ms;
  let settled = false;
  const done = (): void => {
    settled = true;
  };
  answer.then(done, done);
  for (let n = 0; n < stepsMax && !settled; n++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (!settled) clock.until(clock.ms + stepMs);
  }
  return { given: await answer, ms: clock.ms - begunMs };
}

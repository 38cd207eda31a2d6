import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { firstAnswer } from './members.ts';

const hedgeMs = 20;
type Plan = Record<string, string | undefined | Error | 'hang'>;

/** Asks the names of `plan`; 'hang' answers only when it is told to stop. */
function askBy(plan: Plan) {
  const asked: string[] = [];
  const stopped: string[] = [];
  const ask = async (name: string, signal: AbortSignal): Promise<string | undefined> => {
    asked.push(name);
    signal.addEventListener('abort', () => stopped.push(name));
    const does = plan[name];
    if (does === 'hang')
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    if (does instanceof Error) throw does;
    return does;
  };
  return { ask, asked, stopped };
}

describe('the first answer', () => {
  test.each<[string, Plan, object, string[]]>([
    ['of the first is enough', { a: 'x', b: 'y' }, { kind: 'answer', from: 'a', answer: 'x' }, ['a']],
    [
      'comes from the next where one has nothing',
      { a: undefined, b: 'y' },
      { kind: 'answer', from: 'b', answer: 'y' },
      ['a', 'b'],
    ],
    ['or fails', { a: new Error('x'), b: 'y' }, { kind: 'answer', from: 'b', answer: 'y' }, ['a', 'b']],
    ['or is silent', { a: 'hang', b: 'hang', c: 'z' }, { kind: 'answer', from: 'c', answer: 'z' }, ['a', 'b', 'c']],
    ['is none where nobody has it', { a: undefined, b: undefined }, { kind: 'none', failures: [] }, ['a', 'b']],
    ['is none where nobody is there', {}, { kind: 'none', failures: [] }, []],
  ])('%s', async (_name, plan, expected, asked) => {
    const asking = askBy(plan);
    expect(await firstAnswer(Object.keys(plan), asking.ask, { hedgeMs })).toEqual(expected);
    expect(asking.asked).toEqual(asked);
  });

  test('failures are told', async () => {
    const failure = new Error('x');
    const { ask } = askBy({ a: failure, b: undefined });
    expect(await firstAnswer(['a', 'b'], ask, { hedgeMs })).toEqual({ kind: 'none', failures: [failure] });
  });

  test('the losers are stopped, the winner is not; who was silent is told', async () => {
    const asking = askBy({ a: 'hang', b: 'y' });
    const silent: string[] = [];
    await firstAnswer(['a', 'b'], asking.ask, { hedgeMs, onSilent: (name) => silent.push(name) });
    await sleep(5);
    expect([asking.stopped, silent]).toEqual([['a'], ['a']]);
  });

  test("the caller's signal ends all of it", async () => {
    const asking = askBy({ a: 'hang', b: 'hang' });
    const signal = AbortSignal.timeout(60);
    const result = await firstAnswer(['a', 'b'], asking.ask, { hedgeMs, signal });
    expect(result).toMatchObject({ kind: 'none' });
    expect(asking.stopped).toEqual(['a', 'b']);
  });
});

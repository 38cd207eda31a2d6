/** The loop of every machine of core/: order, time, and being woken. */

import { describe, expect, test } from 'vitest';
import type { Machine, Tick } from '../../core/machine.ts';
import { VirtualClock } from '../net/clock.fixtures.ts';
import { alarmOf, Driver } from './driver.ts';

type Input = { readonly kind: 'say'; readonly text: string } | { readonly kind: 'wake'; readonly atMs: number } | Tick;

/** Says what it is told, with the time; is due when it is told to be. */
class Echo implements Machine<Input, string, 'echo'> {
  deadlineMs = Number.POSITIVE_INFINITY;
  /** What is due takes so many steps. */
  stepsDue = 1;
  readonly handled: string[] = [];
  #out: string[] = [];

  handle(input: Input, nowMs: number): void {
    this.handled.push(`${input.kind}@${nowMs}`);
    if (input.kind === 'say') this.#out.push(input.text);
    if (input.kind === 'wake') this.deadlineMs = input.atMs;
    if (input.kind !== 'tick' || this.deadlineMs > nowMs) return;
    this.#out.push('due');
    this.stepsDue--;
    if (this.stepsDue === 0) this.deadlineMs = Number.POSITIVE_INFINITY;
  }

  get due(): 'echo' | undefined {
    return this.deadlineMs === Number.POSITIVE_INFINITY ? undefined : 'echo';
  }

  drain(): string[] {
    return this.#out.splice(0);
  }
}

function driven(
  lateMs: () => number = () => 0,
  perform: (output: string, tell: (text: string) => void) => void = () => undefined,
) {
  const machine = new Echo();
  const clock = new VirtualClock(lateMs);
  const said: string[] = [];
  const woken: string[] = [];
  const driver: Driver<Echo> = new Driver({
    machine,
    alarm: alarmOf(clock),
    perform: (output) => {
      said.push(output);
      perform(output, (text) => driver.input({ kind: 'say', text }));
    },
    woken: (due) => woken.push(`${due}@${clock.ms}`),
  });
  return { machine, clock, driver, said, woken };
}

describe('inputs', () => {
  test('what is told while an output is performed is handled after the inputs before it, never within', () => {
    let depth = 0;
    const { driver, said } = driven(undefined, (output, tell) => {
      expect(depth++).toBe(0);
      if (output === 'a') {
        tell('a1');
        tell('a2');
      }
      if (output === 'a1') tell('a11');
      depth--;
    });
    driver.input({ kind: 'say', text: 'a' });
    driver.input({ kind: 'say', text: 'b' });
    expect(said).toEqual(['a', 'a1', 'a2', 'a11', 'b']);
    expect(driver.steps).toBe(5);
  });

  test('after the end nothing is handled, not even what waited, and nothing rings', () => {
    const { driver, said, clock } = driven(undefined, (output, tell) => {
      tell('more');
      if (output === 'last') driver.end();
    });
    driver.input({ kind: 'wake', atMs: 50 });
    driver.input({ kind: 'say', text: 'last' });
    driver.input({ kind: 'say', text: 'late' });
    expect(said).toEqual(['last']);
    expect(clock.waiting).toBe(0);
  });

  test('an output that throws does not keep later inputs from being handled', () => {
    const { driver, said } = driven(undefined, (output) => {
      if (output === 'bad') throw new Error('bad');
    });
    expect(() => driver.input({ kind: 'say', text: 'bad' })).toThrow('bad');
    driver.input({ kind: 'say', text: 'good' });
    expect(said).toEqual(['bad', 'good']);
  });
});

describe('the deadline', () => {
  test('a tick comes when it is due, once, and says what for', () => {
    const { machine, driver, clock, said, woken } = driven();
    driver.input({ kind: 'wake', atMs: 40.5 });
    clock.until(40);
    expect(said).toEqual([]);
    clock.until(1000);
    expect(machine.handled).toEqual(['wake@0', 'tick@41']);
    expect(woken).toEqual(['echo@41']);
    expect(clock.waiting).toBe(0);
  });

  test('one that moves nearer is kept, one that moves away costs a look and no tick', () => {
    const { machine, driver, clock, woken } = driven();
    driver.input({ kind: 'wake', atMs: 500 });
    driver.input({ kind: 'wake', atMs: 20 });
    expect(clock.waiting).toBe(1);
    driver.input({ kind: 'wake', atMs: 90 });
    clock.until(89);
    expect(machine.handled.filter((input) => input.startsWith('tick'))).toEqual([]);
    clock.until(1000);
    expect(woken).toEqual(['echo@90']);
  });

  test('one that is put off for good is never ticked', () => {
    const { machine, driver, clock } = driven();
    driver.input({ kind: 'wake', atMs: 20 });
    driver.input({ kind: 'wake', atMs: Number.POSITIVE_INFINITY });
    clock.until(1000);
    expect(machine.handled).toHaveLength(2);
    expect(clock.waiting).toBe(0);
  });

  test('what is done in steps gets its next step after others had their turn', () => {
    const { machine, driver, clock, woken } = driven();
    machine.stepsDue = 3;
    driver.input({ kind: 'wake', atMs: 10 });
    clock.until(1000);
    expect(woken).toEqual(['echo@10', 'echo@11', 'echo@12']);
  });

  test('a timer that rings early looks again', () => {
    let timers = 0;
    const { machine, driver, clock } = driven(() => (timers++ === 0 ? -5 : 0));
    driver.input({ kind: 'wake', atMs: 100 });
    clock.until(1000);
    expect(machine.handled).toEqual(['wake@0', 'tick@100']);
    expect(timers).toBe(2);
  });
});

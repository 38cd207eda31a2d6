import { describe, expect, test } from 'vitest';
import { prng } from '../../core/prng.ts';
import { check, type Verdict } from './check.ts';
import { digest, history, version } from './generated.fixtures.ts';
import type { Operation, Read, Write } from './history.ts';

type When = readonly [beganMs: number, endedMs: number];

const when = ([beganMs, endedMs]: When) => ({ by: 'x', beganMs, endedMs });
const done = (no: number) => ({ kind: 'done', version: version(no) }) as const;
const write = (at: When, no: number, more: Partial<Write> = {}): Operation => ({
  ...when(at),
  kind: 'write',
  digest: digest(no),
  told: done(no),
  ...more,
});
const lost = (beganMs: number, no: number, more: Partial<Write> = {}): Operation =>
  write([beganMs, Number.POSITIVE_INFINITY], no, { told: { kind: 'unknown' }, ...more });
const remove = (at: When, no: number): Operation => ({ ...when(at), kind: 'delete', told: done(no) });
const saw = (at: When, no: number | null, as = no): Operation => {
  const seen: Read['saw'] = no === null ? null : { digest: digest(no), version: version(as as number) };
  return { ...when(at), kind: 'read', saw: seen };
};
const of = (...operations: Operation[]): Verdict['kind'] => check(operations).kind;

describe('bad histories are rejected', () => {
  test('a stale read: what was there before a write that had been acknowledged', () => {
    expect(of(write([0, 1], 1), write([2, 3], 2), saw([4, 5], 1))).toBe('violation');
    expect(of(write([0, 1], 1), write([2, 6], 2), saw([4, 5], 1))).toBe('linearizable');
    expect(of(write([0, 1], 1), write([2, 9], 2), saw([3, 4], 2), saw([5, 6], 1))).toBe('violation');
  });

  test('a lost write: acknowledged, and never there', () => {
    expect(of(write([0, 1], 1), saw([2, 3], null))).toBe('violation');
    expect(of(write([0, 1], 1), write([2, 3], 2), saw([4, 5], null))).toBe('violation');
  });

  test('a deletion that is undone', () => {
    const before = [write([0, 1], 1), remove([2, 3], 2)];
    expect(of(...before, saw([4, 5], null))).toBe('linearizable');
    expect(of(...before, saw([4, 5], null), saw([6, 7], 1))).toBe('violation');
    expect(of(...before, saw([4, 5], 1))).toBe('violation');
  });

  test('two conditional writes that followed one version', () => {
    const after = { after: version(1) };
    expect(of(write([0, 1], 1), write([2, 9], 2, after), write([2, 9], 3, after))).toBe('violation');
    const refused = { ...after, told: { kind: 'changed', version: version(2) } } as const;
    expect(of(write([0, 1], 1), write([2, 9], 2, after), write([2, 9], 3, refused))).toBe('linearizable');
    expect(of(write([0, 9], 1, { after: null }), write([0, 9], 2, { after: null }))).toBe('violation');
    const twice = [remove([2, 9], 2), remove([2, 9], 3)].map((one) => ({ ...one, ...after }));
    expect(of(write([0, 1], 1), ...twice)).toBe('violation');
  });

  test('a read of a write that failed for sure', () => {
    // Who failed for sure is not in the history.
    expect(of(write([0, 1], 1), saw([4, 5], 2))).toBe('violation');
    const refused = { after: version(7), told: { kind: 'changed', version: version(1) } } as const;
    expect(of(write([0, 1], 1), write([2, 3], 2, refused), saw([4, 5], 2))).toBe('violation');
  });

  test('a write that comes true once more after a later one', () => {
    expect(of(write([0, 1], 1), write([2, 3], 2), saw([4, 5], 2), saw([6, 7], 1, 3))).toBe('violation');
  });

  test('a version that is used again, goes back, or differs between readers', () => {
    expect(of(write([0, 1], 2), write([2, 3], 1))).toBe('violation');
    expect(of(write([0, 1], 1), write([2, 3], 2, { told: done(1) }))).toBe('violation');
    expect(of(lost(0, 1), saw([1, 2], 1, 1), saw([3, 4], 1, 2))).toBe('violation');
  });

  test('an answer that there is no such tag, or that it is elsewhere, where it was not', () => {
    const absent: Operation = { ...when([2, 3]), kind: 'delete', told: { kind: 'absent' } };
    expect(of(write([0, 1], 1), absent, saw([4, 5], 1))).toBe('violation');
    const changed = { after: version(1), told: { kind: 'changed', version: version(9) } } as const;
    expect(of(write([0, 1], 1), write([2, 3], 2, changed))).toBe('violation');
  });
});

describe('what nobody knows the outcome of', () => {
  test('may have been done at any time since, or never', () => {
    expect(of(write([0, 1], 1), lost(2, 2), saw([4, 5], 1), saw([6, 7], 2), saw([8, 9], 2))).toBe('linearizable');
    expect(of(write([0, 1], 1), lost(2, 2), saw([4, 5], 1))).toBe('linearizable');
    expect(of(write([0, 1], 1), lost(2, 2), saw([4, 5], 2), saw([6, 7], 1))).toBe('violation');
    expect(of(write([0, 1], 1), saw([1.5, 1.8], 2), lost(2, 2))).toBe('violation');
  });

  test('explains what nothing else does, and only once', () => {
    const gone: Operation = { ...when([2, Number.POSITIVE_INFINITY]), kind: 'delete', told: { kind: 'unknown' } };
    expect(of(write([0, 1], 1), gone, saw([4, 5], 1), saw([6, 7], null))).toBe('linearizable');
    expect(of(write([0, 1], 1), gone, saw([4, 5], null), write([6, 7], 3), saw([8, 9], null))).toBe('violation');
    expect(of(lost(0, 1), remove([2, 3], 2), saw([4, 5], null))).toBe('linearizable');
  });

  test('a conditional one only where its condition held', () => {
    expect(of(write([0, 1], 1), write([2, 3], 2), lost(4, 3, { after: version(1) }), saw([5, 6], 3, 3))).toBe(
      'violation',
    );
  });
});

describe('at random', () => {
  const load = { operations: 600, lanes: 8, unknown: 0.08 };

  test('what a tag that behaves shows is accepted', () => {
    for (let seed = 1; seed <= 20; seed++)
      expect([seed, check(history(seed, load)).kind]).toEqual([seed, 'linearizable']);
  });

  test('10,000 operations on one tag are decided, whether they are right or not', { timeout: 120_000 }, () => {
    const all = history(5, { operations: 10_000, lanes: 12, unknown: 0.02 });
    expect(check(all).kind).toBe('linearizable');
    const reads = all.filter((one) => one.kind === 'read');
    const victim = reads[Math.floor(reads.length * 0.9)] as Operation & Read;
    const done = (one: Operation): boolean => one.kind === 'write' && one.told.kind === 'done';
    const old = all.filter((one) => done(one) && one.endedMs < victim.beganMs - 60).at(-1) as Operation & Write;
    const version = old.told.kind === 'done' ? old.told.version : undefined;
    const stale: Operation = { ...victim, saw: { digest: old.digest, version } };
    expect(check(all.map((one) => (one === victim ? stale : one))).kind).toBe('violation');
  });

  test('one read that saw what had long been overwritten is found', () => {
    let planted = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const all = history(seed, load);
      const random = prng(seed);
      const reads = all.filter((one) => one.kind === 'read' && one.beganMs > 200);
      const victim = reads[random.below(reads.length)] as Operation & Read;
      // Overwritten by two that had ended before it began.
      const long = all.filter(
        (one) => one.kind === 'write' && one.told.kind === 'done' && one.endedMs < victim.beganMs - 60,
      );
      const old = long.at(-1) as Operation & Write;
      if (old.told.kind !== 'done' || old.digest === victim.saw?.digest) continue;
      planted += 1;
      const stale: Operation = { ...victim, saw: { digest: old.digest, version: old.told.version } };
      const verdict = check(all.map((one) => (one === victim ? stale : one)));
      expect([seed, verdict.kind]).toEqual([seed, 'violation']);
    }
    expect(planted).toBeGreaterThan(10);
  });
});

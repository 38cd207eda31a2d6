/** What is excused, and what is not, whoever was hit at the time. */
import { describe, expect, test } from 'vitest';
import type { PullRecord } from '../load/records.ts';
import type { Fault } from '../plan/faults.ts';
import { type Befallen, excuseOf, isClear, judge } from './judge.ts';

const pullOf = (given: Partial<PullRecord>): PullRecord => ({
  ...{ no: 1, gateway: 'agent-1', by: 'tag', what: 'a:b', fromMs: 10_000, toMs: 11_000, bytes: 1 },
  ...given,
});
const befallen = (fault: Partial<Fault>, fromMs = 9_000): Befallen => ({
  fault: { no: 1, kind: 'kill', target: 'agent-1', atMs: fromMs, forMs: 4_000, amount: 0, ...fault },
  ...{ fromMs, mendingMs: fromMs + 3_900, mendedMs: fromMs + 4_000, readyMs: fromMs + 5_000 },
});
const failure = { at: 'GET /v2/', status: 503, code: 'UNAVAILABLE', message: 'try again' };

describe('a pull', () => {
  test.each([
    ['of an agent that was killed', {}, befallen({}), 'gateway killed'],
    ['of an agent that was killed, before', {}, befallen({}, 1_000), undefined],
    ['of an agent that was killed, a moment ago', {}, befallen({}, 4_000), 'gateway killed'],
    ['of an agent that was killed, later', {}, befallen({}, 11_001), undefined],
    ['of an agent that was stopped', {}, befallen({ kind: 'stop' }), undefined],
    ['of an agent whose disk was full', {}, befallen({ kind: 'full' }), undefined],
    ['of an agent whose disk was dead', {}, befallen({ kind: 'dead' }), undefined],
    ['of an agent whose dead disk was replaced', {}, befallen({ kind: 'dead' }, 6_500), 'gateway killed'],
    ['of an agent that was cut off', {}, befallen({ kind: 'cut' }), 'gateway cut off'],
    ['of an agent that did not hear one other', {}, befallen({ kind: 'split', peer: 'origin-1' }), undefined],
    ['while another was killed', {}, befallen({ target: 'agent-2' }), undefined],
    ['while an origin was killed', {}, befallen({ target: 'origin-1' }), undefined],
    ['by tag while the index was killed', {}, befallen({ target: 'index-1' }), 'index away'],
    ['by digest while the index was killed', { by: 'digest' }, befallen({ target: 'index-1' }), undefined],
    [
      'by digest through a proxy while the index was killed',
      { by: 'digest', gateway: 'proxy-1' },
      befallen({ target: 'index-1' }),
      'index away',
    ],
    ['by tag while the disk of the index was full', {}, befallen({ target: 'index-1', kind: 'full' }), undefined],
  ] as const)('%s', (_what, pull, fault, excuse) => {
    expect(excuseOf(pullOf(pull), [fault])).toBe(excuse);
  });

  test('that failed counts, one that is excused does not, and a wrong answer is never excused', () => {
    const pulls = [pullOf({}), pullOf({ failure, gateway: 'agent-2' }), pullOf({ failure }), pullOf({ wrong: 'x' })];
    const { counted, right, failed, excused, wrong } = judge(pulls, [], [befallen({})]);
    expect([counted, right, failed, excused['gateway killed'], wrong]).toEqual([1, 0, [pulls[1]], 3, [pulls[3]]]);
  });

  test('that took longer than anything may is late, but for the time that its agent was stopped', () => {
    const slow = pullOf({ failure, fromMs: 0, toMs: 73_000 });
    expect(judge([slow], [], []).late).toEqual([slow]);
    expect(judge([slow], [], [befallen({ kind: 'stop' })]).late).toEqual([]);
  });
});

test.each([
  [503, 'UNAVAILABLE', true],
  [504, 'SWARM_STALLED', true],
  [500, 'NO_CODE', false],
  [0, 'CUT', true],
  [0, 'SILENT', false],
  [0, 'ECONNRESET', false],
  [400, 'REQUEST_INVALID', false],
])('%i %s is a clear error: %s', (status, code, clear) => {
  expect(isClear({ ...failure, status, code })).toBe(clear);
});

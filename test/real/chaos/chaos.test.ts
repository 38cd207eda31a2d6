/**
 * A whole cluster on hosts of its own, constant pushes and pulls, and a random fault every few seconds: what a run must
 * come to. `npm run test:real -- --group chaos [--short|--long] [--seed N] [--keep DIR]`.
 */
import { beforeAll, expect, test } from 'vitest';
import { byLength } from '../short.ts';
import { type Report, recordLine } from './judge/report.ts';
import { runChaos } from './start.ts';

const size = byLength({
  short: { seconds: 60, agents: 4, pullsMin: 150 },
  usual: { seconds: 300, agents: 10, pullsMin: 3_000 },
  long: { seconds: 3_600, agents: 10, pullsMin: 36_000 },
});
const rightMin = 0.999;
/** An origin may die under a body that the client does not send twice. */
const pushesFailedMax = 0.02;
/** To start all, and to end and prove everything. */
const aroundMs = 400_000;
/** The faults are another run's each time, but in the short form, which tells a change from chance. */
const seed =
  process.env['SHOAL_SEED'] ?? `${byLength({ short: 1, usual: Date.now() % 100_000, long: Date.now() % 100_000 })}`;

let report: Report;
const lines = (of: Report['judged']['unclear']) => of.map((it) => recordLine(it, report.faults));

beforeAll(
  async () => {
    const args = ['--seed', seed, '--seconds', `${size.seconds}`, '--agents', `${size.agents}`];
    report = await runChaos(args, process.env['SHOAL_KEEP']);
  },
  size.seconds * 1_000 + aroundMs,
);

test('enough was pulled, and pushed', () => {
  expect(report.judged.counted).toBeGreaterThanOrEqual(size.pullsMin);
  expect(report.judged.pushesCounted).toBeGreaterThan(size.pullsMin / 40);
});

test('99.9 per cent of the pulls ended right', () => {
  const { counted, right, failed } = report.judged;
  // Of few pulls it is one that may fail.
  expect(counted - right, lines(failed).join('\n')).toBeLessThanOrEqual(Math.max(1, (1 - rightMin) * counted));
});

test('a push is refused only where fewer origins than it needs can be had', () => {
  const { pushesCounted, pushesFailed } = report.judged;
  expect(pushesFailed.length, lines(pushesFailed).join('\n')).toBeLessThanOrEqual(pushesFailedMax * pushesCounted);
});

test('no answer was wrong', () => expect(lines(report.judged.wrong)).toEqual([]));
test('what failed said clearly that it did', () => expect(lines(report.judged.unclear)).toEqual([]));
test('in time', () => expect(lines(report.judged.late)).toEqual([]));
test('nothing that was acknowledged is lost', () => expect(report.lost).toEqual([]));
test('each blob has its copies again', () => expect(report.fewCopies).toEqual([]));
test('no process ended by itself', () => expect(report.crashed).toEqual([]));
test('all is well again soon after the last fault', () => expect(report.unhealthy).toEqual([]));

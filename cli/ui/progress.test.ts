import { expect, test } from 'vitest';
import { bytesText, table } from './format.ts';
import { barLine, Progress } from './progress.ts';

test('bytes and tables', () => {
  expect([0, 999, 1000, 999_949, 999_960, 256e6, 1.5e9].map(bytesText)).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '999.9 kB',
    '1.0 MB',
    '256.0 MB',
    '1.5 GB',
  ]);
  expect(
    table([
      ['', 'a'],
      ['name', '10'],
    ]),
  ).toBe('        a\nname   10');
});

test('a bar is never wider than the terminal, and full at the end', () => {
  const bar = { label: 'agent-1', total: 100, done: 50, note: '' };
  for (const columns of [10, 40, 80, 200])
    expect(barLine(bar, { seconds: 1, labelWidth: 7, columns }).length).toBeLessThan(columns);
  expect(barLine({ ...bar, done: 100 }, { seconds: 1, labelWidth: 7, columns: 100 })).not.toContain('░');
  expect(barLine({ ...bar, total: 0, done: 0 }, { seconds: 0, labelWidth: 7, columns: 100 })).toContain('100 %');
});

test('on a terminal bars are redrawn in place, lines go above them', () => {
  let text = '';
  let nowMs = 0;
  const progress = new Progress({ isTTY: true, columns: 80, write: (more: string) => (text += more) }, () => nowMs);
  const [bar] = progress.begin([{ label: 'x', total: 10 }]);
  if (bar === undefined) throw new Error('no bar');
  progress.advance(bar, 1);
  nowMs = 50;
  progress.advance(bar, 1);
  expect(text.match(/\n/g)).toHaveLength(1);
  nowMs = 200;
  progress.advance(bar, 1);
  expect(text).toContain('\x1b[1A\x1b[J');
  text = '';
  progress.say('hello');
  expect(text.startsWith('\x1b[1A\x1b[Jhello\nx ')).toBe(true);
});

test('elsewhere: plain lines now and then, no escapes', () => {
  let text = '';
  let nowMs = 0;
  const progress = new Progress({ write: (more: string) => (text += more) }, () => nowMs);
  const [bar] = progress.begin([{ label: 'x', total: 10 }]);
  if (bar === undefined) throw new Error('no bar');
  for (let i = 0; i < 10; i++) {
    nowMs += 500;
    progress.advance(bar, 1);
  }
  progress.finish();
  expect(text.trim().split('\n')).toHaveLength(3);
  expect(text).not.toContain('\x1b');
  expect(text).toContain('x: 100 %');
});

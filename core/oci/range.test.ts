import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ApiError } from '../contracts/errors.ts';
import { chooseRange, contentRange, parseChunkRange, unsatisfiedRange, uploadRange } from './range.ts';

const part = (start: number, end: number) => ({ kind: 'part', start, end });

describe('Range', () => {
  test.each([
    [undefined, { kind: 'whole' }],
    ['bytes=0-0', part(0, 1)],
    ['bytes=0-9', part(0, 10)],
    ['bytes=3-', part(3, 10)],
    ['bytes=3-1000', part(3, 10)],
    ['bytes=-3', part(7, 10)],
    ['bytes=-1000', part(0, 10)],
    ['BYTES=1-2', part(1, 3)],
    ['bytes=-0', { kind: 'unsatisfiable' }],
    ['bytes=10-', { kind: 'unsatisfiable' }],
    ['bytes=99999999999999999999-', { kind: 'unsatisfiable' }],
    ['bytes=-', { kind: 'whole' }],
    ['bytes=2-1', { kind: 'whole' }],
    ['bytes=0-1,3-4', { kind: 'whole' }],
    ['bytes 0-1', { kind: 'whole' }],
    ['bytes=a-b', { kind: 'whole' }],
    ['', { kind: 'whole' }],
  ])('%s of ten bytes', (header, expected) => {
    expect(chooseRange(header, 10)).toEqual(expected);
  });

  test('of nothing, whatever is asked, is the whole', () => {
    for (const header of ['bytes=0-', 'bytes=-5', 'bytes=7-9'])
      expect(chooseRange(header, 0)).toEqual({ kind: 'whole' });
  });

  test('a part always lies inside of the blob and is not empty', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 2 ** 40 }), (first, last, size) => {
        const choice = chooseRange(`bytes=${first}-${last}`, size);
        if (choice.kind !== 'part') return;
        expect(choice.start < choice.end && choice.end <= size && choice.start === first).toBe(true);
      }),
    );
  });

  test('as answers write it', () => {
    expect([contentRange({ start: 0, end: 5 }, 10), unsatisfiedRange(10)]).toEqual(['bytes 0-4/10', 'bytes */10']);
    expect([uploadRange(0), uploadRange(1), uploadRange(10)]).toEqual(['0-0', '0-0', '0-9']);
  });
});

describe('Content-Range of a chunk', () => {
  test.each([
    ['0-0', { start: 0, end: 1 }],
    ['10-19', { start: 10, end: 20 }],
    [' 10-19 ', { start: 10, end: 20 }],
    ['bytes 10-19/20', { start: 10, end: 20 }],
    ['bytes=10-19', { start: 10, end: 20 }],
    ['bytes 10-19/*', { start: 10, end: 20 }],
  ])('%s', (header, expected) => {
    expect(parseChunkRange(header)).toEqual(expected);
  });

  test.each(['', '-', '5', '5-', '-5', '5-4', 'a-b', '0-1,2-3', '1-2-3', '0x1-0x2', '1-9999999999999999'])(
    '%j is refused',
    (header) => {
      expect(() => parseChunkRange(header)).toThrow(ApiError);
    },
  );
});

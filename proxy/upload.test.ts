import { describe, expect, test } from 'vitest';
import { fullest, place, type Seen, standing } from './upload.ts';

describe('where an upload stands', () => {
  test.each<[Seen[], number, unknown]>([
    [[0, 0], 0, { kind: 'open', at: 0, lanes: [0, 1] }],
    [[5, 7], 5, { kind: 'open', at: 5, lanes: [0, 1] }],
    [[5, 7], 6, { kind: 'open', at: 7, lanes: [1] }],
    [['silent', 7], 7, { kind: 'open', at: 7, lanes: [1] }],
    [['unknown', 7], 7, { kind: 'open', at: 7, lanes: [1] }],
    [[5, 5], 6, { kind: 'unknown' }],
    [['unknown', 'unknown'], 0, { kind: 'unknown' }],
    [['silent', 'unknown'], 0, { kind: 'silent' }],
    [[5, 'silent'], 6, { kind: 'silent' }],
  ])('%j after %i acknowledged', (seen, acked, expected) => {
    expect(standing(seen, acked)).toEqual(expected);
  });
});

describe('where two must hold it', () => {
  test.each<[Seen[], number, unknown]>([
    [['silent', 7], 7, { kind: 'fits', start: 7, lanes: [1] }],
    [['unknown', 7], 7, { kind: 'fits', start: 7, lanes: [1] }],
    [[5, 7], 6, { kind: 'fits', start: 7, lanes: [1] }],
  ])('%j after %i acknowledged: it goes on with the one that is left', (seen, acked, expected) => {
    expect(place(seen, acked, undefined, 2)).toEqual(expected);
  });
  test('a chunk that only one could take begins earlier', () => {
    expect(place([5, 7], 0, 7, 2)).toEqual({ kind: 'misfit', at: 5 });
    expect(place([5, 7], 0, 5, 2)).toEqual({ kind: 'fits', start: 5, lanes: [0, 1] });
  });
});

describe('where a chunk goes', () => {
  test.each<[Seen[], number, number | undefined, unknown]>([
    [[5, 5], 5, undefined, { kind: 'fits', start: 5, lanes: [0, 1] }],
    [[5, 5], 5, 5, { kind: 'fits', start: 5, lanes: [0, 1] }],
    // The Location was an old one: the origins know better.
    [[5, 5], 0, undefined, { kind: 'fits', start: 5, lanes: [0, 1] }],
    // One is ahead: it skips what it holds.
    [[5, 7], 5, 5, { kind: 'fits', start: 5, lanes: [0, 1] }],
    [[5, 7], 5, undefined, { kind: 'fits', start: 5, lanes: [0, 1] }],
    // The client was told of 7 by an answer that we do not see: the other one is out.
    [[5, 7], 0, 7, { kind: 'fits', start: 7, lanes: [1] }],
    [[5, 7], 0, undefined, { kind: 'misfit', at: 5 }],
    [[5, 5], 5, 0, { kind: 'misfit', at: 5 }],
    [[5, 7], 5, 6, { kind: 'misfit', at: 5 }],
    [[5, 5], 5, 9, { kind: 'misfit', at: 5 }],
    [['unknown'], 0, 0, { kind: 'unknown' }],
    [['silent'], 0, 0, { kind: 'silent' }],
  ])('%j, %i acknowledged, from %s', (seen, acked, start, expected) => {
    expect(place(seen, acked, start)).toEqual(expected);
  });

  test('the fullest can be committed', () => {
    expect(fullest([5, 'silent', 7, 7], [0, 2, 3])).toEqual([2, 3]);
  });
});

/** Who is on the ring, of what was heard of them: restarts, moves, releases before, two processes of one id. */

import { describe, expect, test } from 'vitest';
import { membersMax, type OriginIdentity } from '../../core/contracts/members.ts';
import { KnownPlaces, type MemberRing, replacedMs } from './places.ts';

const graceMs = 1_000;
const idOf = (no: number): string => no.toString(16).padStart(32, '0');
const [a, b, c] = ['http://a', 'http://b', 'http://c'] as const;
const is = (no: number, o: Partial<OriginIdentity> = {}): OriginIdentity => {
  return { id: idOf(no), instance: idOf(100 + no), weight: 1, ...o };
};

/** Id and URL of each, by id. */
function of({ places }: MemberRing): (readonly [number, string | undefined])[] {
  return places.map(({ id, url }) => [Number.parseInt(id, 16), url] as const).toSorted(([one], [other]) => one - other);
}

function places(urls: readonly string[], self?: ConstructorParameters<typeof KnownPlaces>[0]['self']): KnownPlaces {
  const made = new KnownPlaces({ graceMs, self });
  made.listed(urls, 0);
  return made;
}

describe('the ring', () => {
  test('has nobody of whom it is not known who it is, and keeps who does not answer', () => {
    const known = places([a, b, c]);
    expect([of(known.ring(0)), known.unknown]).toEqual([[], [a, b, c]]);
    expect([known.answered(a, is(1), 1), known.answered(b, is(2), 1), known.answered(b, is(2), 2)]).toEqual([
      true,
      true,
      false,
    ]);
    known.missed(a);
    known.missed(c);
    expect([of(known.ring(1e9)), known.unknown]).toEqual([
      [
        [1, a],
        [2, b],
      ],
      [c],
    ]);
  });

  test('a restart moves nothing; nor does another address, and meanwhile its place is kept', () => {
    const known = places([a, b]);
    known.answered(a, is(1), 1);
    known.answered(b, is(2), 1);
    known.answered(b, is(2, { instance: idOf(7) }), 2);
    expect(of(known.ring(2))).toEqual([
      [1, a],
      [2, b],
    ]);
    known.listed([a], 10);
    expect([of(known.ring(10)), known.ring(10).untilMs]).toEqual([
      [
        [1, a],
        [2, undefined],
      ],
      10 + graceMs,
    ]);
    known.listed([a, c], 20);
    expect(of(known.ring(20))).toEqual([
      [1, a],
      [2, undefined],
    ]);
    known.answered(c, is(2, { instance: idOf(8) }), 30);
    expect([of(known.ring(5_000)), known.ring(5_000).untilMs]).toEqual([
      [
        [1, a],
        [2, c],
      ],
      Number.POSITIVE_INFINITY,
    ]);
  });

  test('who left for good goes when the grace is over', () => {
    const known = places([a, b]);
    known.answered(a, is(1), 1);
    known.answered(b, is(2), 1);
    known.listed([a], 10);
    expect(of(known.ring(9 + graceMs))).toHaveLength(2);
    expect(of(known.ring(10 + graceMs))).toEqual([[1, a]]);
  });

  test('an empty disk at the same address is another member: the one before keeps its place for a while', () => {
    const known = places([a]);
    known.answered(a, is(1), 1);
    known.answered(a, is(2), 2);
    expect(of(known.ring(3))).toEqual([
      [1, undefined],
      [2, a],
    ]);
  });

  test('its place is given up once everybody in the list is somebody else; that it may be somewhere is told as long as before', () => {
    const known = new KnownPlaces({ graceMs: 10 * replacedMs });
    known.listed([a, b, c], 0);
    for (const [no, url] of [a, b, c].entries()) known.answered(url, is(no + 1), 1);
    known.answered(a, is(7), 10);
    expect(known.ring(10).untilMs).toBe(10 + replacedMs);
    expect(of(known.ring(9 + replacedMs)).map(([no]) => no)).toEqual([1, 2, 3, 7]);
    // It may be the one that does not answer.
    known.missed(b);
    expect(of(known.ring(11 + replacedMs)).map(([no]) => no)).toEqual([1, 2, 3, 7]);
    known.answered(b, is(2), 12 + replacedMs);
    const ring = known.ring(13 + replacedMs);
    expect([of(ring).map(([no]) => no), ring.replaced]).toEqual([[2, 3, 7], [idOf(1)]]);
    // Nothing goes to and fro.
    known.missed(b);
    expect(of(known.ring(14 + replacedMs)).map(([no]) => no)).toEqual([2, 3, 7]);
    expect(known.ring(10 + 10 * replacedMs)).toMatchObject({ replaced: [], untilMs: Number.POSITIVE_INFINITY });
  });

  test('one that is seen elsewhere meanwhile has moved, and one that left the list was not replaced', () => {
    const known = new KnownPlaces({ graceMs: 10 * replacedMs });
    known.listed([a, b], 0);
    known.answered(a, is(1), 1);
    known.answered(b, is(2), 1);
    known.listed([a], 2);
    expect(of(known.ring(3 + replacedMs)).map(([no]) => no)).toEqual([1, 2]);
    known.answered(a, is(3), 4 + replacedMs);
    expect(of(known.ring(5 + 2 * replacedMs)).map(([no]) => no)).toEqual([2, 3]);
    known.listed([a, b], 6 + 2 * replacedMs);
    known.answered(b, is(1), 7 + 2 * replacedMs);
    const ring = known.ring(8 + 2 * replacedMs);
    expect([of(ring), ring.replaced]).toEqual([
      [
        [1, b],
        [2, undefined],
        [3, a],
      ],
      [],
    ]);
  });

  test('one of a release before is its URL; once it has an id, it is that alone', () => {
    const known = places([a, b]);
    known.answered(a, undefined, 1);
    expect(known.ring(1).places).toMatchObject([{ id: a, url: a, weight: 1 }]);
    known.answered(a, is(1), 2);
    expect(of(known.ring(2))).toEqual([[1, a]]);
  });

  test('what others tell counts for who is in the list, until it speaks for itself', () => {
    const known = places([a, b]);
    const told = [
      { id: idOf(1), url: a, weight: 3 },
      { id: idOf(9), url: 'http://elsewhere', weight: 1 },
    ];
    expect([known.told(told, 1), known.told(told, 2)]).toEqual([true, false]);
    expect(known.ring(2).places).toMatchObject([{ id: idOf(1), weight: 3 }]);
    known.answered(a, is(4), 3);
    expect(known.told(told, 4)).toBe(false);
    expect(of(known.ring(2 * graceMs))).toEqual([[4, a]]);
  });

  test('what was remembered keeps the place of who is gone from the list at the start', () => {
    const known = places([a]);
    known.remember(
      [
        { id: idOf(1), url: a, weight: 1 },
        { id: idOf(2), url: b, weight: 2 },
      ],
      0,
    );
    expect(of(known.ring(0))).toEqual([
      [1, a],
      [2, undefined],
    ]);
    expect(of(known.ring(graceMs))).toEqual([[1, a]]);
  });

  test('ourselves are on it in any case, and called nowhere', () => {
    const self = { id: idOf(1), instance: idOf(101), weight: 2 };
    const known = places([a, b], self);
    expect(known.ring(0).places).toMatchObject([{ id: idOf(1), url: undefined, weight: 2 }]);
    known.answered(a, is(1, { weight: 2 }), 1);
    known.answered(b, is(2), 1);
    const ring = known.ring(1);
    expect([of(ring), [...ring.beside], ring.doubles]).toEqual([
      [
        [1, a],
        [2, b],
      ],
      [a],
      [],
    ]);
  });
});

describe('two processes of one id', () => {
  test('are one place, the same for all who see them, and are told; whoever of them dies ends it', () => {
    for (const order of [
      [a, b],
      [b, a],
    ]) {
      const known = places([a, b, c]);
      let nowMs = 0;
      const round = (): void => {
        for (const url of order) known.answered(url, is(1, { instance: idOf(url === a ? 50 : 60) }), ++nowMs);
      };
      round();
      round();
      const ring = known.ring(nowMs);
      expect([of(ring), ring.doubles.map(({ urls }) => urls.toSorted()), [...ring.beside]]).toEqual([
        [[1, a]],
        [[a, b]],
        [b],
      ]);
      known.missed(a);
      expect([known.ring(nowMs).doubles, of(known.ring(nowMs))]).toEqual([[], [[1, order[1]]]]);
    }
  });

  test('one that has moved, while its old address is still in the list, is no such trouble', () => {
    const known = places([a, b]);
    known.answered(a, is(1, { instance: idOf(50) }), 1);
    known.answered(b, is(1, { instance: idOf(40) }), 2);
    expect([of(known.ring(2)), known.ring(2).doubles]).toEqual([[[1, b]], []]);
    known.missed(a);
    known.answered(b, is(1, { instance: idOf(40) }), 3);
    expect([of(known.ring(3)), known.ring(3).doubles]).toEqual([[[1, b]], []]);
  });

  test('one process under two names is one member', () => {
    const known = places([a, b]);
    for (let nowMs = 0; nowMs < 4; nowMs++) for (const url of [b, a]) known.answered(url, is(1), nowMs);
    const ring = known.ring(4);
    expect([of(ring), ring.doubles, [...ring.beside]]).toEqual([[[1, a]], [], [b]]);
  });

  test('another one of our own id is told', () => {
    const self = { id: idOf(1), instance: idOf(7), weight: 1, url: a };
    const known = places([a, b], self);
    known.answered(b, is(1), 1);
    const ring = known.ring(1);
    expect([of(ring), ring.doubles, [...ring.beside]]).toEqual([[[1, a]], [{ id: idOf(1), urls: [a, b] }], [b]]);
    known.missed(b);
    expect(known.ring(2).doubles).toEqual([]);
  });
});

test('a URL that leaves before it is known who is there is told of for a while, unless it comes back', () => {
  const places = new KnownPlaces({ graceMs: 100 });
  places.listed(['http://a', 'http://b', 'http://c'], 0);
  places.answered('http://a', { id: 'a'.repeat(32), instance: '1'.repeat(32), weight: 1 }, 0);
  places.listed([], 10);
  expect(places.ring(20)).toMatchObject({ strangersLeft: ['http://b', 'http://c'], untilMs: 110 });
  places.listed(['http://c'], 50);
  expect(places.ring(60).strangersLeft).toEqual(['http://b']);
  expect(places.ring(111).strangersLeft).toEqual([]);
});

test('who others know and is in no list of ours may hold anything, until it is found, or nobody has told of it for a while', () => {
  const known = places([a]);
  const tell = (id: string, url: string, nowMs: number): boolean => known.told([{ id, url, weight: 1 }], nowMs);
  known.answered(a, is(1), 0);
  expect([tell(idOf(2), b, 1), tell(idOf(2), b, 2)]).toEqual([true, false]);
  // It has no place: others have to tell who it is, and it itself. Of a release before it may have another name here.
  expect(tell(b, b, 2)).toBe(false);
  expect([of(known.ring(3)), known.ring(3).elsewhere, known.ring(3).untilMs]).toEqual([
    [[1, a]],
    [idOf(2)],
    2 + graceMs,
  ]);
  expect(known.ring(2 + graceMs).elsewhere).toEqual([]);
  // It is in the list by another address.
  tell(idOf(2), b, 5_000);
  known.listed([a, c], 5_001);
  expect(known.ring(5_001).elsewhere).toEqual([idOf(2)]);
  known.answered(c, is(2), 5_002);
  expect(known.ring(5_002).elsewhere).toEqual([]);
});

test('nobody makes it remember any number of them, and we are not elsewhere', () => {
  const known = places([a], { id: idOf(9), weight: 1 });
  known.told(
    Array.from({ length: 2_000 }, (_, no) => ({ id: idOf(100 + no), url: `${b}:${no + 1}`, weight: 1 })),
    0,
  );
  expect(known.ring(0).elsewhere).toHaveLength(membersMax);
  const other = places([a], { id: idOf(9), weight: 1 });
  other.told([{ id: idOf(9), url: b, weight: 1 }], 0);
  expect(other.ring(0).elsewhere).toEqual([]);
});

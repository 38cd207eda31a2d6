/** Shares, chains of units, waiters in order, and misuse. */

import { expect, test } from 'vitest';
import { unitBytes } from '../../core/piece.ts';
import { prng } from '../../core/prng.ts';
import { Arena, keptBytesMax, type Slot, waitersMax } from './arena.ts';

const shares = { receive: 0.5, send: 0.25, reader: 0.25 };
const arenaOf = (units: number): Arena => new Arena(units * unitBytes, shares);

test('a share never takes what is another’s', () => {
  const arena = arenaOf(8);
  const slots = [arena.tryAcquire('receive', 3 * unitBytes), arena.tryAcquire('receive', 1)];
  expect(slots.every((slot) => slot !== undefined)).toBe(true);
  expect(arena.tryAcquire('receive', 1)).toBeUndefined();
  expect(arena.freeBytes('receive')).toBe(0);
  expect(arena.freeBytes('send')).toBe(2 * unitBytes);
  expect(arena.tryAcquire('send', 2 * unitBytes)).toBeDefined();
  expect(arena.tryAcquire('reader', 2 * unitBytes)).toBeDefined();
  slots[1]!.release();
  expect(arena.tryAcquire('receive', 1)).toBeDefined();
});

test('slots of many units are made of whatever is free, and never overlap', () => {
  const random = prng(1);
  const arena = new Arena(64 * unitBytes, { receive: 0.9, send: 0.05, reader: 0.05 });
  const live = new Map<Slot, number>();
  let stamp = 0;
  for (let step = 0; step < 3000; step += 1) {
    const slot = random.below(2) === 0 ? arena.tryAcquire('receive', 1 + random.below(9 * unitBytes)) : undefined;
    if (slot !== undefined) {
      stamp = (stamp + 1) & 0xff;
      expect(slot.parts().reduce((sum, part) => sum + part.length, 0)).toBe(slot.length);
      for (const part of slot.parts()) part[0] = part[part.length - 1] = stamp;
      live.set(slot, stamp);
      expect(arena.slot(slot.no)).toBe(slot);
    } else if (live.size > 0) {
      const [old, value] = [...live][random.below(live.size)]!;
      for (const part of old.parts()) expect([part[0], part[part.length - 1]]).toEqual([value, value]);
      old.release();
      live.delete(old);
    }
  }
  for (const slot of live.keys()) slot.release();
  expect(arena.freeBytes('receive')).toBe(arena.shareBytes('receive'));
});

test('window runs from an offset to the end of its unit, or of the slot', () => {
  const slot = arenaOf(8).tryAcquire('receive', 2 * unitBytes + 10)!;
  const parts = slot.parts();
  expect(slot.window(0).byteOffset).toBe(parts[0]!.byteOffset);
  expect(slot.window(0).length).toBe(unitBytes);
  expect(slot.window(unitBytes - 1).length).toBe(1);
  expect(slot.window(unitBytes).byteOffset).toBe(parts[1]!.byteOffset);
  expect(slot.window(2 * unitBytes + 3).byteOffset).toBe(parts[2]!.byteOffset + 3);
  expect(slot.window(2 * unitBytes + 3).length).toBe(7);
  expect(() => slot.window(2 * unitBytes + 10)).toThrow('outside');
});

test('waiters are served in order, and nobody overtakes a large one', async () => {
  const arena = arenaOf(8);
  const held = [1, 2, 3, 4].map(() => arena.tryAcquire('receive', unitBytes)!);
  const order: string[] = [];
  const large = arena.acquire('receive', 3 * unitBytes).then((slot) => {
    order.push('large');
    return slot;
  });
  const small = arena.acquire('receive', 1).then((slot) => {
    order.push('small');
    return slot;
  });
  held[0]!.release();
  expect(arena.tryAcquire('receive', 1)).toBeUndefined();
  held[1]!.release();
  await new Promise(setImmediate);
  expect(order).toEqual([]);
  held[2]!.release();
  (await large).release();
  (await small).release();
  expect(order).toEqual(['large', 'small']);
});

test('a waiter that gives up lets the next one pass', async () => {
  const arena = arenaOf(8);
  const held = arena.tryAcquire('receive', 3 * unitBytes)!;
  const abort = new AbortController();
  const large = arena.acquire('receive', 4 * unitBytes, abort.signal);
  const small = arena.acquire('receive', 1);
  abort.abort(new Error('gone'));
  await expect(large).rejects.toThrow('gone');
  (await small).release();
  held.release();
  await expect(arena.acquire('receive', 1, abort.signal)).rejects.toThrow('gone');
  expect(arena.freeBytes('receive')).toBe(4 * unitBytes);
});

test('what can never fit, or would wait behind too many, is refused with the remedy', async () => {
  const arena = arenaOf(8);
  await expect(arena.acquire('send', 3 * unitBytes)).rejects.toThrow('raise memory.arena');
  expect(arena.tryAcquire('send', 3 * unitBytes)).toBeUndefined();
  const held = arena.tryAcquire('send', 2 * unitBytes)!;
  const abort = new AbortController();
  const waiting = Array.from({ length: waitersMax }, () => arena.acquire('send', 1, abort.signal));
  await expect(arena.acquire('send', 1)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS' });
  abort.abort(new Error('enough'));
  expect((await Promise.allSettled(waiting)).every(({ status }) => status === 'rejected')).toBe(true);
  held.release();
});

test('a second release and a use after release are Bugs', () => {
  const arena = arenaOf(8);
  const slot = arena.tryAcquire('receive', unitBytes)!;
  slot.release();
  expect(() => slot.release()).toThrow('released twice');
  expect(() => arena.slot(slot.no)).toThrow('no slot');
  const next = arena.tryAcquire('receive', unitBytes)!;
  expect(next.no).toBe(slot.no);
  expect(() => slot.release()).toThrow('released twice');
  expect(() => arena.hold(slot)).toThrow('after its release');
  next.release();
});

test('an arena too small for its shares is refused', () => {
  expect(() => new Arena(2 * unitBytes)).toThrow('at least 3 units');
  expect(() => new Arena(8 * unitBytes, { receive: 0.9, send: 0.9, reader: 0.1 })).toThrow('of 8 units');
});

test('what is kept is lent on the borrower’s share, and goes when its own share needs the room', () => {
  const arena = arenaOf(8);
  const dropped: number[] = [];
  const keep = (no: number): Slot => {
    const slot = arena.tryAcquire('receive', unitBytes)!;
    slot.parts()[0]!.fill(no);
    arena.keep(slot, () => dropped.push(no));
    return slot;
  };
  const kept = [1, 2, 3, 4].map(keep);
  expect(arena.freeBytes('receive')).toBe(4 * unitBytes);
  const loan = arena.lend(kept[0]!, 'reader')!;
  const again = arena.lend(kept[0]!, 'reader')!;
  expect(arena.freeBytes('reader')).toBe(0);
  expect(arena.lend(kept[1]!, 'reader')).toBeUndefined();
  expect(dropped).toEqual([]);
  // What is lent counts elsewhere: all of the receive share can be had meanwhile.
  const all = arena.tryAcquire('receive', 4 * unitBytes)!;
  expect(dropped.sort()).toEqual([2, 3, 4]);
  for (const part of all.parts()) part.fill(9);
  expect([loan.parts()[0]![7], again.window(0)[7]]).toEqual([1, 1]);
  loan.release();
  expect(() => loan.release()).toThrow('released twice');
  expect(dropped).toEqual([2, 3, 4]);
  again.release();
  // Its own share has no room to keep it.
  expect(dropped).toEqual([2, 3, 4, 1]);
  all.release();
  for (const share of ['receive', 'reader'] as const) expect(arena.freeBytes(share)).toBe(arena.shareBytes(share));
});

test('of a large share only so much is kept: the oldest goes first, what was lent last goes last', () => {
  const most = keptBytesMax / unitBytes;
  const arena = arenaOf(4 * most);
  const dropped: number[] = [];
  const kept: Slot[] = [];
  for (let no = 0; no < most; no++) {
    kept.push(arena.tryAcquire('receive', unitBytes)!);
    arena.keep(kept[no]!, () => dropped.push(no));
  }
  expect(dropped).toEqual([]);
  arena.lend(kept[0]!, 'reader')!.release();
  for (let more = 0; more < 2; more++) arena.keep(arena.tryAcquire('receive', unitBytes)!, () => undefined);
  expect(dropped).toEqual([1, 2]);
});

test('a loan that comes back is kept again; what is forgotten goes with its last borrower', () => {
  const arena = arenaOf(8);
  let dropped = 0;
  const slot = arena.tryAcquire('receive', unitBytes)!;
  arena.keep(slot, () => (dropped += 1));
  arena.lend(slot, 'send')!.release();
  const loan = arena.lend(slot, 'send')!;
  arena.forget(slot);
  expect(dropped).toBe(0);
  loan.release();
  expect(dropped).toBe(1);
  expect(() => arena.lend(slot, 'send')).toThrow('after its release');
  expect(arena.freeBytes('send')).toBe(arena.shareBytes('send'));
});

test('a kept slot is not its owner’s any more, and one in use cannot be kept or lent', () => {
  const arena = arenaOf(8);
  const slot = arena.tryAcquire('receive', 1)!;
  expect(() => arena.lend(slot, 'send')).toThrow('was not kept');
  arena.hold(slot);
  expect(() => arena.keep(slot, () => undefined)).toThrow('kept while in use');
  arena.unhold(slot);
  arena.keep(slot, () => undefined);
  expect(() => slot.release()).toThrow('released twice');
  expect(() => arena.keep(slot, () => undefined)).toThrow('kept while in use');
});

test('who waits for room gets that of what is kept, but only after a moment in which it can be lent', async () => {
  const arena = arenaOf(8);
  const slot = arena.tryAcquire('receive', 4 * unitBytes)!;
  const waiting = arena.acquire('receive', 4 * unitBytes);
  let dropped = false;
  arena.keep(slot, () => (dropped = true));
  await Promise.resolve();
  expect(dropped).toBe(false);
  const got = await waiting;
  expect(dropped).toBe(true);
  got.release();
});

test('shares, loans and kept slots at random: no unit is lost, given twice, or changed while it is lent', () => {
  const random = prng(7);
  const arena = new Arena(32 * unitBytes, shares);
  const owned = new Set<Slot>();
  const kept = new Map<Slot, number>();
  const loans = new Map<Slot, number>();
  for (let step = 0; step < 20_000; step += 1) {
    const [slot] =
      [...owned][random.below(Math.max(1, owned.size))] === undefined ? [] : [[...owned][random.below(owned.size)]!];
    const [some, mark] = [...kept][random.below(Math.max(1, kept.size))] ?? [];
    const [loan, seen] = [...loans][random.below(Math.max(1, loans.size))] ?? [];
    switch (random.below(6)) {
      case 0:
      case 1: {
        const got = arena.tryAcquire(random.below(2) === 0 ? 'receive' : 'reader', 1 + random.below(4 * unitBytes));
        if (got !== undefined) owned.add(got);
        break;
      }
      case 2:
        if (slot !== undefined) {
          owned.delete(slot);
          for (const part of slot.parts()) part.fill(step & 0xff);
          kept.set(slot, step & 0xff);
          arena.keep(slot, () => kept.delete(slot));
        }
        break;
      case 3:
        if (slot !== undefined && owned.delete(slot)) slot.release();
        break;
      case 4:
        if (some !== undefined) {
          const lent = arena.lend(some, random.below(2) === 0 ? 'send' : 'reader');
          if (lent !== undefined) loans.set(lent, mark as number);
          else if (random.below(8) === 0) arena.forget(some);
        }
        break;
      default:
        if (loan !== undefined && loans.delete(loan)) {
          for (const part of loan.parts()) expect([part[0], part.at(-1)]).toEqual([seen, seen]);
          loan.release();
        }
    }
  }
  for (const slot of owned) slot.release();
  for (const loan of loans.keys()) loan.release();
  for (const share of ['receive', 'send', 'reader'] as const) {
    expect(arena.freeBytes(share)).toBe(arena.shareBytes(share));
    expect(arena.tryAcquire(share, arena.shareBytes(share))).toBeDefined();
  }
  expect(kept.size).toBe(0);
});

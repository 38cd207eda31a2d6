import fc from 'fast-check';
import { expect, test } from 'vitest';
import { prng } from '../prng.ts';
import { LEASE_STATE, LeaseTable } from './leases.ts';
import { MemberDraw } from './members.ts';

test('leases: agrees with a map whatever comes and goes', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 60 }), (seed, width) => {
      const random = prng(seed);
      const table = new LeaseTable();
      const model = new Map<string, number>();
      for (let step = 0; step < 3000; step++) {
        const [swarm, node] = [random.below(width), random.below(width)];
        const key = `${swarm}.${node}`;
        const lease = table.find(swarm, node);
        expect(lease).toBe(model.get(key) ?? -1);
        if (lease === -1) model.set(key, table.add(swarm, node, LEASE_STATE.want));
        else if (random.below(3) > 0) {
          table.remove(lease);
          model.delete(key);
        }
        expect(table.count).toBe(model.size);
      }
      for (let node = 0; node < width; node++) {
        const own = [...model].filter(([key]) => key.endsWith(`.${node}`)).map(([, lease]) => lease);
        const listed: number[] = [];
        for (let lease = table.firstOf(node); lease !== -1; lease = table.firstOf(node)) {
          listed.push(lease);
          table.remove(lease);
        }
        expect(listed.sort()).toEqual(own.sort());
      }
      expect(table.count).toBe(0);
    }),
    { numRuns: 30 },
  );
});

test('leases: grows far beyond its first size', () => {
  const table = new LeaseTable();
  for (let i = 0; i < 50_000; i++) table.add(i >> 8, i & 255, LEASE_STATE.have);
  for (let i = 0; i < 50_000; i++) {
    const lease = table.find(i >> 8, i & 255);
    expect(table.swarm(lease)).toBe(i >> 8);
    expect(table.node(lease)).toBe(i & 255);
  }
  expect(table.find(1000, 0)).toBe(-1);
});

test('members: every member comes up once in each round, none twice in one draw', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 45 }), (seed, size, count) => {
      const random = prng(seed);
      const members = new MemberDraw();
      for (let lease = 0; lease < size; lease++) members.add(lease);
      const times = new Array<number>(size).fill(0);
      for (let turn = 0; turn < 50; turn++) {
        const drawn: number[] = [];
        members.draw(count, random, drawn);
        expect(drawn).toHaveLength(Math.min(size, count));
        expect(new Set(drawn).size).toBe(drawn.length);
        for (const lease of drawn) times[lease]!++;
        expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(1);
      }
    }),
  );
});

test('members: stays whole when members come and go between draws', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = prng(seed);
      const members = new MemberDraw();
      const there = new Set<number>();
      for (let step = 0; step < 500; step++) {
        const lease = random.below(64);
        if (there.delete(lease)) members.remove(lease);
        else {
          there.add(lease);
          members.add(lease);
        }
        const drawn: number[] = [];
        members.draw(random.below(6), random, drawn);
        expect(drawn.every((one) => there.has(one))).toBe(true);
        expect(new Set(drawn).size).toBe(drawn.length);
        expect(members.size).toBe(there.size);
      }
      const all: number[] = [];
      members.draw(64, random, all);
      expect(new Set(all)).toEqual(there);
    }),
    { numRuns: 50 },
  );
});

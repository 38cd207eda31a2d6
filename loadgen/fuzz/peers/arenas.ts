/**
 * Arenas for processes of a run. Their memory is used again by later ones: a run has dozens of processes
 * one after the other, and new memory for each would cost more than anything else that they do.
 *
 * Rule: the memory of an ended process rests for a while, for what its system had begun may still touch it.
 */

import { unitBytes } from '../../../core/piece.ts';
import { Arena } from '../../../platform/workers/arena.ts';
import { ArenaMemory } from '../../../platform/workers/shared.ts';
import type { Process, World } from '../world.ts';

/** Virtual; what an ended process had begun takes no time. */
const restMs = 1_000;

type Lent = { readonly process: Process; readonly memory: ArenaMemory; endedMs: number };

const lent = new WeakMap<World, Set<Lent>>();
/** By units. */
const free = new Map<number, ArenaMemory[]>();

export function arenaOf(world: World, process: Process, units: number): Arena {
  const mine = lent.get(world) ?? new Set<Lent>();
  lent.set(world, mine);
  for (const one of mine) {
    if (one.process.alive) continue;
    one.endedMs = Math.min(one.endedMs, world.nowMs);
    if (world.nowMs - one.endedMs < restMs) continue;
    mine.delete(one);
    giveBack(one);
  }
  const memory = free.get(units)?.pop() ?? ArenaMemory.create(units);
  mine.add({ process, memory, endedMs: Number.POSITIVE_INFINITY });
  return new Arena(units * unitBytes, undefined, memory);
}

/** The run is over. */
export function giveBackArenas(world: World): void {
  for (const one of lent.get(world) ?? []) giveBack(one);
  lent.delete(world);
}

function giveBack({ memory }: Lent): void {
  const same = free.get(memory.units) ?? [];
  same.push(memory);
  free.set(memory.units, same);
}

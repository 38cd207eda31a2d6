/** The memory and the threads of a role that carries pieces. Spread into its schema, so that both are stated once. */

import * as z from 'zod';
import { size } from './units.ts';

/**
 * A quarter of the arena is for readers, a quarter for sending, and a piece must fit in each: 4 MiB at this size, so
 * blobs of up to 8 GiB; of larger ones each piece is refused with a word about `memory.arena` (all fit in 64 MiB).
 */
const arenaMin = '16MiB';
/** What the runtime gives one buffer. Pieces in flight on a 100 Gbit/s card are a tenth of it. */
const arenaMax = '16GiB';
/** Threads hash and write; more than a large host has cores for gain nothing. */
const workersMax = 64;

export const piecesShape = {
  memory: z
    .strictObject({
      arena: size('64MiB', { min: arenaMin, max: arenaMax, why: 'so that readers and peers get a piece each' }),
    })
    .prefault({}),
  workers: z.int().min(1).max(workersMax).prefault(1),
} as const;

/** Bytes of small blobs, read again and again, that are kept in memory beside the arena (store/pieces/hot.ts); 0: none. */
export const hotMemory = () => size('0', { min: '0', max: arenaMax });

/** The least that a budget of bytes on disk may be: below it, it was meant otherwise (`100` for 100GiB). */
export const budgetMin = { min: '1MB', why: 'room for blobs at all' } as const;

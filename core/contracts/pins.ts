/** What an agent or an origin is told to keep, and whether all of it is there. */

import { byteCount } from './fields.ts';
import { flag, listOf, optional, type Parser, record, text } from './parse.ts';
import { route } from './route.ts';

/** Of one configuration. */
export const pinsMax = 256;
const pinLengthMax = 512;
const problemMax = 4_096;

export type PinStatus = {
  /** As the configuration has it. */
  readonly pin: string;
  /** Everything of it is here. */
  readonly complete: boolean;
  readonly blobs: number;
  readonly bytes: number;
  readonly lacking: number;
  readonly lackingBytes: number;
  /** Why it could not be looked up; the numbers are what was found last. */
  readonly problem?: string | undefined;
};

const status: Parser<PinStatus> = record({
  pin: text(pinLengthMax),
  complete: flag,
  blobs: byteCount,
  bytes: byteCount,
  lacking: byteCount,
  lackingBytes: byteCount,
  problem: optional(text(problemMax)),
});

export const PINS = {
  list: route('GET', '/v1/pins', { reply: record({ pins: listOf(status, pinsMax) }) }),
} as const;

/** What an agent or an origin is told to keep, and whether all of it is there. */

import { byteCount } from './fields.ts';
import { closed, flag, listOf, optional, type Parser, record, text } from './parse.ts';
import { route } from './route.ts';

/** Of one process, configured and added. */
export const pinsMax = 256;
export const pinLengthMax = 512;
const problemMax = 4_096;

export type PinStatus = {
  /** As the configuration, or whoever added it, has it. */
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

const reply = record({ pins: listOf(status, pinsMax) });

export const PINS = {
  list: route('GET', '/v1/pins', { reply }),
  /** Kept until `remove`, over restarts; one that is there already is fine. REQUEST_INVALID: it is no pin, or there are too many. */
  add: route('PUT', '/v1/pins', { body: closed({ pin: text(pinLengthMax) }), reply }),
  /** REQUEST_INVALID: it was not added, but is configured, or is none. */
  remove: route('DELETE', '/v1/pins', { query: { pin: text(pinLengthMax) }, reply }),
} as const;

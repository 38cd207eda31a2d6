/** What the options of `bench` and `loadgen` are parsed by: each refuses what it cannot use, and says what it expects. */

import { InvalidArgumentError } from 'commander';
import { parseDuration, parseRate, parseSize } from '../platform/config/units.ts';

type Parser = (text: string) => number;

/** A whole number. */
export function whole(min: number, max: number): Parser {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text.trim()) || value < min || value > max)
      throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}.`);
    return value;
  };
}

/** Any number, as a decimal fraction. */
export function number(min: number, max: number): Parser {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value < min || value > max)
      throw new InvalidArgumentError(`expected a number from ${min} to ${max}.`);
    return value;
  };
}

/** Bytes, from `min` on. */
export function size(min: number, example: string): Parser {
  return unit(parseSize, min, example);
}

/** Bytes a second, from `min` on. */
export function rate(min: number, example: string): Parser {
  return unit(parseRate, min, example);
}

/** Milliseconds, from `min` on; `0` needs no unit. */
export function duration(min: number, example: string): Parser {
  return unit((text) => (text === '0' ? 0 : parseDuration(text)), min, example);
}

function unit(parse: (text: string) => number | undefined, min: number, example: string): Parser {
  return (text) => {
    const value = parse(text);
    if (value === undefined || value < min) throw new InvalidArgumentError(`expected ${example}.`);
    return value;
  };
}

/** What a command's options and arguments may be, and what is said of those that may not. */

import { InvalidArgumentError } from 'commander';
import { parseSize } from '../platform/config/units.ts';

const demoBytesMin = 1e6;
const demoBytesMax = 16e9;
/** Where `shoal up` puts it. */
export const proxyDefault = 'http://127.0.0.1:15000';

export function wholeOption(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Give a whole number from ${min} to ${max}.`);
  };
}

export function bytesOption(text: string): number {
  const value = parseSize(text);
  if (value !== undefined && value >= demoBytesMin && value <= demoBytesMax) return value;
  throw new InvalidArgumentError('Give a size from 1MB to 16GB, such as 256MB.');
}

export function urlOption(example: string): (text: string) => string {
  return (text) => {
    if (/^https?:\/\/[^/]/.test(text) && URL.canParse(text)) return text;
    throw new InvalidArgumentError(`Give a URL such as ${example}.`);
  };
}

/** Of a list: commander calls it with what it has made of those before. */
export function urlsArgument(text: string, previous: readonly string[] = []): string[] {
  return [...previous, urlOption(proxyDefault)(text)];
}

export function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}

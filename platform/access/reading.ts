/** Parsers of documents as whoever follows one has them (clients/followed.ts): they throw where they cannot read it. */

import { type Parser, parse } from '../../core/contracts/parse.ts';

export function reading<T>(parser: Parser<T>): (body: unknown) => T {
  return (body) => {
    const read = parse(parser, body, 'it');
    if (read.ok) return read.value;
    throw new Error(read.problem);
  };
}

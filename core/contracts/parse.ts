/**
 * Values as they come off the network, checked by hand: both sides of a call read with these. (Announces of thousands
 * of hosts pass here, where a schema library would cost more than the work itself.)
 *
 * Rule 1: what a parser returns has exactly the fields of its contract, each within its limits. Unknown fields are
 *   dropped, so that newer releases can talk to older ones; where passing over one would do harm, the record is `closed`.
 * Rule 2: a failure is one line that names the field, ready to be shown.
 */

/** The value, or Malformed. */
export type Parser<T> = (value: unknown) => T;
/** `problem` names what is wrong, ready to be shown. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

/** Thrown by parsers only, and caught by `parse`. Those around it add where it is. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
  /** From the value outwards. */
  readonly #within: (string | number)[] = [];

  in(key: string | number): this {
    this.#within.push(key);
    return this;
  }

  /** `whole`: what the value as a whole is called. */
  told(whole: string): string {
    const path = this.#within
      .reverse()
      .map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`))
      .join('')
      .replace(/^\./, '');
    return `${path === '' ? whole : path} ${this.message}`;
  }
}

export function parse<T>(parser: Parser<T>, value: unknown, whole: string): Parsed<T> {
  try {
    return { ok: true, value: parser(value) };
  } catch (error) {
    if (error instanceof Malformed) return { ok: false, problem: error.told(whole) };
    throw error;
  }
}

/** The fields of an object. */
export function fields(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Malformed('is not an object');
  return value as Record<string, unknown>;
}

/** `parser` on the field `key`, which is named where it fails. */
export function field<T>(of: Record<string, unknown>, key: string, parser: Parser<T>): T {
  try {
    // What objects inherit is none of theirs.
    return parser(Object.hasOwn(of, key) ? of[key] : undefined);
  } catch (error) {
    throw error instanceof Malformed ? error.in(key) : error;
  }
}

type Shape = Readonly<Record<string, Parser<unknown>>>;
type Given<P> = P extends Parser<infer T> ? T : never;
/** What a parser of `S` gives: what may be absent may be left out. */
type Fields<S extends Shape> = {
  readonly [K in keyof S as undefined extends Given<S[K]> ? never : K]: Given<S[K]>;
} & { readonly [K in keyof S as undefined extends Given<S[K]> ? K : never]?: Given<S[K]> };

export function record<S extends Shape>(shape: S): Parser<Fields<S>> {
  const entries = Object.entries(shape);
  return (value) => {
    const of = fields(value);
    const out: Record<string, unknown> = {};
    for (const [key, parser] of entries) {
      const found = field(of, key, parser);
      if (found !== undefined) out[key] = found;
    }
    return out as Fields<S>;
  };
}

/** As `record`, and nothing else may be there: what is not understood is not passed over. */
export function closed<S extends Shape>(shape: S): Parser<Fields<S>> {
  const open = record(shape);
  return (value) => {
    const unknown = Object.keys(fields(value)).find((key) => !Object.hasOwn(shape, key));
    if (unknown !== undefined) throw new Malformed('is not known here').in(unknown.slice(0, 100));
    return open(value);
  };
}

export function listOf<T>(of: Parser<T>, max: number): Parser<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) throw new Malformed('is not a list');
    if (value.length > max) throw new Malformed(`has more than ${max} entries`);
    return value.map((entry, i) => {
      try {
        return of(entry);
      } catch (error) {
        throw error instanceof Malformed ? error.in(i) : error;
      }
    });
  };
}

export function optional<T>(of: Parser<T>): Parser<T | undefined> {
  return (value) => (value === undefined ? undefined : of(value));
}

/** A whole number from 0 to `max`. */
export function whole(max: number): Parser<number> {
  return (value) => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) return value;
    throw new Malformed(`is no whole number from 0 to ${max}`);
  };
}

/** The same in digits: from a query. */
export function digits(max: number): Parser<number> {
  const number = whole(max);
  return (value) => number(typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : undefined);
}

/** Any number that is none of NaN and the infinities: a measurement. */
export const finite: Parser<number> = (value) => {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new Malformed('is no number');
};

export const flag: Parser<boolean> = (value) => {
  if (typeof value === 'boolean') return value;
  throw new Malformed('is neither true nor false');
};

/** Text that `right` says yes to; `what` it is otherwise: "is no tag". */
export function textThat(right: (text: string) => boolean, what: string): Parser<string> {
  return (value) => {
    if (typeof value === 'string' && right(value)) return value;
    throw new Malformed(what);
  };
}

/** Text of at most `max` characters, and of `min` at least. */
export function text(max: number, min = 0): Parser<string> {
  return textThat(({ length }) => length >= min && length <= max, `is no text of ${min} to ${max} characters`);
}

export function oneOf<T extends string>(...names: readonly T[]): Parser<T> {
  return (value) => {
    const known = names.find((name) => name === value);
    if (known !== undefined) return known;
    throw new Malformed(`is none of ${names.join(', ')}`);
  };
}

/** Texts by name. */
export const texts: Parser<Readonly<Record<string, string>>> = (value) => {
  const all = fields(value);
  for (const [key, one] of Object.entries(all))
    if (typeof one !== 'string') throw new Malformed('is no text').in(key.slice(0, 100));
  return all as Record<string, string>;
};

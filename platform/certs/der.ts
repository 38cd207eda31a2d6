/** DER (X.690), as far as certificates and lists of what is revoked are read here: elements, one behind the other. */

export type Der = {
  readonly tag: number;
  /** With tag and length. */
  readonly whole: Buffer;
  readonly body: Buffer;
};

export const TAG = { integer: 0x02, utcTime: 0x17, generalizedTime: 0x18, sequence: 0x30 } as const;

/** Bytes of a length beyond these are of nothing that is read here: 4 GiB. */
const lengthBytesMax = 4;

/** All elements of `bytes`. Throws where one is cut off. */
export function derIn(bytes: Buffer): Der[] {
  const found: Der[] = [];
  for (let at = 0; at < bytes.length; ) {
    const one = derAt(bytes, at);
    found.push(one);
    at += one.whole.length;
  }
  return found;
}

function derAt(bytes: Buffer, at: number): Der {
  const [tag, short] = [bytes[at], bytes[at + 1]];
  if (tag === undefined || short === undefined) throw new Error('it is no DER: an element is cut off');
  const more = short < 0x80 ? 0 : short & 0x7f;
  if (short === 0x80 || more > lengthBytesMax || at + 2 + more > bytes.length)
    throw new Error('it is no DER: a length is none');
  const length = more === 0 ? short : bytes.readUIntBE(at + 2, more);
  const begin = at + 2 + more;
  if (begin + length > bytes.length) throw new Error('it is no DER: an element is cut off');
  return { tag, whole: bytes.subarray(at, begin + length), body: bytes.subarray(begin, begin + length) };
}

/** UTCTime or GeneralizedTime, to the second, as RFC 5280 has them (4.1.2.5). */
export function derTimeMs({ tag, body }: Der): number {
  const text = body.toString('latin1');
  const [, years = '', rest = ''] = /^(\d{2}|\d{4})(\d{10})Z$/.exec(text) ?? [];
  const year = tag === TAG.utcTime && years.length === 2 ? (Number(years) < 50 ? `20${years}` : `19${years}`) : years;
  const [month, day, hour, minute, second] = rest.match(/../g) ?? [];
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(ms)) throw new Error(`"${text.slice(0, 40)}" is no time`);
  return ms;
}

const LATIN: readonly number[] = [0x13, 0x14, 0x16, 0x1a];
const utf8 = 0x0c;

/** A name (RFC 5280, 4.1.2.4) as a text that is the same for names that are the same, however they are encoded: 7.1. */
export function nameKey({ body }: Der): string {
  return derIn(body)
    .map((set) =>
      derIn(set.body)
        .map(({ body: pair }) => {
          const [type, value] = derIn(pair);
          if (type === undefined || value === undefined) throw new Error('a name in it is none');
          return `${type.body.toString('hex')}=${valueKey(value)}`;
        })
        .sort()
        .join('+'),
    )
    .join(',');
}

function valueKey({ tag, body }: Der): string {
  if (tag !== utf8 && !LATIN.includes(tag)) return `#${tag}:${body.toString('hex')}`;
  return body
    .toString(tag === utf8 ? 'utf8' : 'latin1')
    .trim()
    .toLowerCase()
    .replace(/\s+/g, ' ');
}

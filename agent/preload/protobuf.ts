/** The little of Protocol Buffers that a request to a container runtime takes: text, and messages within messages. */

/** Of a field whose value has a length of its own. */
const lengthDelimited = 2;

/** `value` as the field `no`: text, or a message. */
export function protoField(no: number, value: string | Uint8Array): Uint8Array {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([varint((no << 3) | lengthDelimited), varint(bytes.length), bytes]);
}

export function protoMessage(...fields: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(fields);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return Uint8Array.from([...bytes, left]);
}

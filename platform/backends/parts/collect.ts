/** The bytes of a small object together. */

import { smallBytesMax } from '../backend.ts';

/** undefined: more came than `announced`, or than a small object has; the rest is not read. */
export async function collected(
  chunks: AsyncIterable<Uint8Array>,
  announced = smallBytesMax,
): Promise<Buffer | undefined> {
  const all: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > Math.min(announced, smallBytesMax)) return undefined;
    all.push(Uint8Array.from(chunk));
  }
  return Buffer.concat(all, length);
}

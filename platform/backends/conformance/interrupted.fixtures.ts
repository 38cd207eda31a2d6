/** A source of bytes in which something happens on the way: of the conformance suite. */

import type { ObjectSource } from '../backend.ts';

/** `source`, in which `befall` happens once so many bytes were asked for; at its size, once all of them were. */
export function interrupted(source: ObjectSource, at: number, befall: () => void): ObjectSource {
  return {
    ...source,
    async *read(start, end, signal) {
      for await (const chunk of source.read(start, end, signal)) {
        if (start >= at) befall();
        yield chunk;
        start += chunk.length;
      }
      if (start >= at) befall();
    },
  };
}

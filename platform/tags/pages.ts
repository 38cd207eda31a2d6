/** Where a page of referrers ends. */

import { referrerAnnotationBytesMax } from './store.ts';

/** As many of the first of `list` as their annotations, of so many bytes each, leave the page readable for. */
export function fitting<T>(list: readonly T[], bytesOf: (one: T) => number): readonly T[] {
  let left = referrerAnnotationBytesMax;
  const end = list.findIndex((one, at) => {
    left -= bytesOf(one);
    return left < 0 && at > 0;
  });
  return end < 0 ? list : list.slice(0, end);
}

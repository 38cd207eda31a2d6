/** Lists in memory: their orders, and a page of one. */

import type { PageOf } from '../store.ts';

export function sortedPage(
  sorted: readonly string[],
  page: PageOf,
  order: (one: string, two: string) => number,
): { list: string[]; more: boolean } {
  const { last } = page;
  const rest = last === undefined ? sorted : sorted.filter((name) => order(name, last) > 0);
  return { list: rest.slice(0, page.n), more: rest.length > page.n };
}

export function plain(one: string, two: string): number {
  return one < two ? -1 : one > two ? 1 : 0;
}

export function byTag(one: string, two: string): number {
  return plain(one.toLowerCase(), two.toLowerCase()) || plain(one, two);
}

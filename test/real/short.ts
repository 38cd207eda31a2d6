/**
 * The short form of long groups (`npm run test:real -- --short`, which .ci/run asks for): each thing is still tried on a real
 * program, but not on a second one of its kind, nor at a size that takes minutes. And the long form of what finds more
 * the longer it goes on (`--long`).
 */

const short = process.env['SHOAL_SHORT'] === '1';
const long = process.env['SHOAL_LONG'] === '1';

/** What `--short`, neither, or `--long` asks for. */
export function byLength<T>(of: { readonly short: T; readonly usual: T; readonly long: T }): T {
  return short ? of.short : long ? of.long : of.usual;
}

/** All of these, and in the short form those that `few` chooses. */
export function ofShort<T>(all: readonly T[], few: (one: T) => boolean): readonly T[] {
  const chosen = short ? all.filter(few) : all;
  if (chosen.length === 0) throw new Error('the short form leaves nothing to try');
  return chosen;
}

/** What a rule may say of two backends of which one shadows the other. */

import * as z from 'zod';
import { type BackendKind, kind, type Opening } from '../kind.ts';

type Side = { readonly kind: string; readonly settings: unknown };

/**
 * Of those of `all` that keep what they are given under the name that it is given: two that name things in their own ways
 * cannot be compared. `all` are all but this one: a shadow of a shadow is nobody's wish.
 */
export function shadowKind(all: Readonly<Record<string, BackendKind>>): BackendKind {
  const kinds = Object.fromEntries(
    Object.entries(all).filter(([, { holds, layout }]) => holds === 'all' && layout === undefined),
  );
  const names = Object.keys(kinds);
  const settings = Object.fromEntries(Object.entries(kinds).map(([name, { schema }]) => [name, schema.optional()]));
  const side = z.strictObject(settings).transform((given, ctx): Side => {
    const said: Readonly<Record<string, unknown>> = given;
    const [kind, ...more] = names.filter((name) => said[name] !== undefined);
    if (kind !== undefined && more.length === 0) return { kind, settings: said[kind] };
    ctx.addIssue({ code: 'custom', message: `give it exactly one of ${names.join(', ')}` });
    return z.NEVER;
  });
  const schema = z.strictObject({
    first: side,
    second: side,
    /** Whose answers count: what is read, listed, compared with by conditions. */
    believe: z.enum(['first', 'second']).prefault('first'),
    /** Who must have taken a write before it counts: both, or the one that is believed. */
    writes: z.enum(['both', 'believed']).prefault('both'),
  });
  return kind(schema, async ({ first, second, believe, writes }, opening) => {
    const { ShadowBackend } = await import('./shadow.ts');
    const { Watched } = await import('../around/watched.ts');
    await using opened = new AsyncDisposableStack();
    const open = async (name: string, { kind, settings }: Side, given: Opening) =>
      opened.use(
        new Watched(
          await (kinds[kind] as BackendKind).open(settings, { ...given, name: `${given.name}.${name}` }),
          given,
        ),
      );
    const sides = { first: await open('first', first, opening), second: await open('second', second, opening) };
    opened.move();
    const [believed, other] = believe === 'first' ? [sides.first, sides.second] : [sides.second, sides.first];
    return new ShadowBackend(believed, other, { ...opening, both: writes === 'both' });
  });
}

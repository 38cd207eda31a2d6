/**
 * Names of writes in PostgreSQL, with their outcomes (named.ts).
 *
 * Rule: all names of a transaction are asked for together with its lock, and written down together with its end, so that they
 *   cost it no round trip.
 */

import { forgetNamesEvery, isRemembered, namesKeptMax, outcomeOf, rememberedOf, type WriteName } from '../named.ts';
import { type Querying, statements } from './server/statements.ts';

const SQL = statements('named', {
  remembered: 'SELECT name, told FROM named WHERE name = ANY ($1::text[])',
  remember: `INSERT INTO named (name, told) SELECT name, told FROM unnest($1::text[], $2::text[]) AS k (name, told)`,
  forget: `DELETE FROM named WHERE no <= (SELECT max(no) FROM named) - ${namesKeptMax}`,
});

/** Names until it is looked for what is too old, of this process. */
export class PostgresNamed {
  #unlooked = 0;

  /** Statements that follow the lock, asked for at once with it. */
  async load(asking: Querying, writes: readonly { readonly of?: WriteName | undefined }[]): Promise<NamesOfGroup> {
    const names = writes.flatMap(({ of }) => (of === undefined ? [] : [of.name]));
    const rows =
      names.length === 0 ? [] : await asking.all<{ name: string; told: string }>(SQL.remembered, [...new Set(names)]);
    return new NamesOfGroup(new Map(rows.map(({ name, told }) => [name, told])));
  }

  /** Statements before COMMIT, asked for at once with it. */
  async save(asking: Querying, { added }: NamesOfGroup): Promise<void> {
    if (added.size === 0) return;
    this.#unlooked += added.size;
    const look = this.#unlooked >= forgetNamesEvery;
    if (look) this.#unlooked = 0;
    await Promise.all([
      asking.run(SQL.remember, [...added.keys()], [...added.values()]),
      look ? asking.run(SQL.forget) : undefined,
    ]);
  }
}

export class NamesOfGroup {
  readonly #known: ReadonlyMap<string, string>;
  /** To be remembered. */
  readonly added = new Map<string, string>();

  constructor(known: ReadonlyMap<string, string>) {
    this.#known = known;
  }

  /** Does it, or has what was remembered. */
  async once(of: WriteName | undefined, write: () => Promise<unknown>): Promise<unknown> {
    if (of === undefined) return await write();
    const told = this.#known.get(of.name) ?? this.added.get(of.name);
    if (told !== undefined) return outcomeOf(told);
    const outcome = await write();
    if (isRemembered(of, outcome)) this.added.set(of.name, rememberedOf(outcome));
    return outcome;
  }
}

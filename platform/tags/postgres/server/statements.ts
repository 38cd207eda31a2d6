/** Statements by name: each is parsed and planned once a connection. */

export type Prepared = { readonly name: string; readonly text: string };
export type Value = string | number | boolean | null | readonly (string | number | null)[];

/** A connection, in a transaction or each statement one of its own. Statements that are asked at once run in their order. */
export interface Querying {
  all<T>(statement: Prepared, ...values: readonly Value[]): Promise<T[]>;
  /** Rows changed. */
  run(statement: Prepared, ...values: readonly Value[]): Promise<number>;
}

/** `room`: tells those of one file from those of others. */
export function statements<K extends string>(
  room: string,
  texts: Readonly<Record<K, string>>,
): Readonly<Record<K, Prepared>> {
  const all = Object.entries<string>(texts).map(([key, text]) => [key, { name: `${room}_${key}`, text }]);
  return Object.fromEntries(all) as Record<K, Prepared>;
}

/** Whether a digest, an expression, has a link. */
export function linkedSql(digest: string): string {
  return `(EXISTS (SELECT 1 FROM blobs x WHERE x.digest = ${digest})
    OR EXISTS (SELECT 1 FROM manifests x WHERE x.digest = ${digest})
    OR EXISTS (SELECT 1 FROM refs x WHERE x.target = ${digest})
    OR EXISTS (SELECT 1 FROM manifests x WHERE x.subject = ${digest}))`;
}

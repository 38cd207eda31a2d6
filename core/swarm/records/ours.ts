/**
 * Who writes what. Every record is read-only to whoever has it; the room that it belongs to writes it as `Ours`, which
 * that room's `ours.ts` names and nobody else imports (rooms.test.ts). So a write from another room does not compile.
 *
 * Rule 1: of a record's parts it opens one level: what a list or a set holds belongs to whom it belongs.
 */

type Opened<V> = V extends readonly (infer Item)[]
  ? Item[]
  : V extends { readonly [Symbol.toStringTag]: 'Int32Array' }
    ? Int32Array
    : V extends { readonly [Symbol.toStringTag]: 'Uint8Array' }
      ? Uint8Array
      : V extends ReadonlyMap<infer Key, infer Value>
        ? Map<Key, Value>
        : V extends ReadonlySet<infer Item>
          ? Set<Item>
          : V;

export type Ours<T> = { -readonly [K in keyof T]: Opened<T[K]> };

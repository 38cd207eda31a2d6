/** A thread's entry file: compares passwords with bcrypt hashes, and makes them. */

import { compareSync, hashSync } from 'bcryptjs';

export type HashAsked =
  | { readonly kind: 'compare'; readonly password: string; readonly hash: string }
  | { readonly kind: 'hash'; readonly password: string };

/** Some 50 ms of a core, as of 2026. */
const costDefault = 10;

export function answer(asked: HashAsked): boolean | string {
  return asked.kind === 'compare' ? compareSync(asked.password, asked.hash) : hashSync(asked.password, costDefault);
}

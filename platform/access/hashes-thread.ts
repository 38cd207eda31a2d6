/** A thread's entry file: compares passwords with bcrypt hashes. */

import { compareSync } from 'bcryptjs';

export type HashAsked = { readonly password: string; readonly hash: string };

export function matches({ password, hash }: HashAsked): boolean {
  return compareSync(password, hash);
}

/** New passwords as hashes. Whoever makes one waits for it: a tenth of a second of a core. */

import { hash, truncates } from 'bcryptjs';
import { StartError } from '../lifecycle/errors.ts';

/** Some 50 ms of a core that has nothing else to do, as of 2026. */
const costDefault = 10;

/** Throws StartError where it is none. */
export async function hashOf(password: string): Promise<string> {
  if (password === '') throw new StartError('the password is empty');
  if (truncates(password))
    throw new StartError('the password is longer than 72 bytes, beyond which bcrypt reads nothing');
  return await hash(password, costDefault);
}

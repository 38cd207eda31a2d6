/** A store that is away as an index starts is waited for; whatever else fails ends the start. */

import { expect, test } from 'vitest';
import { ApiError } from '../core/contracts/errors.ts';
import { atStart } from './patience.ts';

test('it is asked again while it is away, and not when it refuses', async () => {
  const errors = [new ApiError('UNAVAILABLE', 'away'), new ApiError('UNAVAILABLE', 'away')];
  let asked = 0;
  const ask = async (): Promise<string> => {
    asked += 1;
    const error = errors.shift();
    if (error !== undefined) throw error;
    return 'there';
  };
  expect([await atStart(ask), asked]).toEqual(['there', 3]);
  errors.push(new ApiError('UNSUPPORTED', 'no'));
  await expect(atStart(ask)).rejects.toThrow('no');
});

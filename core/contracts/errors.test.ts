/** Errors as they come from the other side, which need not be one of ours. */

import { expect, test } from 'vitest';
import { ApiError, ERRORS, errorIn } from './errors.ts';

test('an error of ours is read as it was told', () => {
  for (const code of Object.keys(ERRORS)) {
    const told = errorIn({ errors: [{ code, message: 'why', detail: { version: null } }, { code: 1 }] });
    expect(told).toBeInstanceOf(ApiError);
    expect(told).toMatchObject({ code, message: 'why', detail: { version: null } });
  }
  expect(errorIn({ errors: [{ code: 'UNKNOWN', message: '' }] })?.detail).toBeUndefined();
});

test('anything else is none', () => {
  const error = { code: 'UNKNOWN', message: 'why' };
  const junk = [undefined, null, 0, '', 'x', [], {}, true, Number.NaN, [error], { errors: error.code }];
  for (const wrong of [...junk, { errors: [] }, { error }, { errors: [[error]] }, { errors: { 0: error } }])
    expect(errorIn(wrong), JSON.stringify(wrong)).toBeUndefined();
  for (const key of ['code', 'message'])
    for (const wrong of [...junk.filter((one) => typeof one !== 'string'), 'x'.repeat(70_000), '__proto__'])
      if (!(key === 'message' && wrong === '__proto__'))
        expect(
          errorIn({ errors: [{ ...error, [key]: wrong }] }),
          `${key} ${String(wrong)}`.slice(0, 50),
        ).toBeUndefined();
  for (const code of ['toString', 'constructor', 'TOO_NEW'])
    expect(errorIn({ errors: [{ ...error, code }] })).toBeUndefined();
});

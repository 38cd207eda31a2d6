/** Memory for whole bodies, among clients. */

import { expect, test } from 'vitest';
import { WholeBodies } from './bodies.ts';

const mebibyte = 1024 * 1024;
const refused = expect.objectContaining({ code: 'TOOMANYREQUESTS' });

test('one client has at most seven eighths; others that hold little have the rest; all comes back', () => {
  const bodies = new WholeBodies(256 * mebibyte);
  const held = Array.from({ length: 56 }, () => bodies.hold('greedy', 4 * mebibyte));
  expect(() => bodies.hold('greedy', 1)).toThrow(refused);
  held.push(bodies.hold('other', 4 * mebibyte), bodies.hold('other', 4 * mebibyte));
  expect(() => bodies.hold('other', 4 * mebibyte)).toThrow(refused);
  for (let n = 0; n < 3; n++) held.push(bodies.hold(`client ${n}`, 8 * mebibyte));
  expect(() => bodies.hold('the last', 1)).toThrow(refused);
  for (const release of held) release();
  expect(bodies.bytes).toBe(0);
  bodies.hold('greedy', 4 * mebibyte)();
});

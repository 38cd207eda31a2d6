/** What somebody with a certificate may say of itself. */

import { expect, test } from 'vitest';
import { notItsAddress, notOwn } from './announce.ts';
import type { VerifiedCaller } from './identity.ts';

const mark = '0123456789abcdef';
const node = `${mark}${'f'.repeat(16)}`;
const caller = (sans: readonly string[]): VerifiedCaller => ({
  ...{ cluster: 'c', role: 'agent', name: 'host-1', untilMs: 0, address: '10.0.0.1' },
  sans,
});

test('its role, and a node of its own', () => {
  expect(notOwn(caller([]), { role: 'agent', node }, mark)).toBeUndefined();
  expect(notOwn(caller([]), { role: 'origin', node }, mark)).toContain('it says to be an origin');
  expect(notOwn(caller([]), { role: 'agent', node: `f${node.slice(1)}` }, mark)).toContain(
    'is no node of agent/host-1',
  );
});

test.each([
  ['where it called from', ['10.0.0.9'], '10.0.0.1', true],
  ['an address of its certificate', ['10.0.0.9', 'host-1'], '10.0.0.9', true],
  ['a name of its certificate', ['10.0.0.9', 'host-1'], 'host-1', true],
  ["somebody else's address", ['10.0.0.9', 'host-1'], '10.0.0.2', false],
  ["somebody else's name", ['10.0.0.9', 'host-1'], 'host-2', false],
  ['any address, where the certificate names none', ['shoal-agent'], '10.0.0.2', true],
  ['any name, where the certificate names none', ['10.0.0.9'], 'host-2', true],
] as const)('%s', (_, sans, host, may) => {
  expect(notItsAddress(caller(sans), host) === undefined).toBe(may);
});

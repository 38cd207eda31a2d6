/** What somebody with a certificate may say of itself. */

import { expect, test } from 'vitest';
import { hostOf, notCalledBy, notItsAddress, notOwn } from './announce.ts';
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

test.each([
  ['an address of its certificate', ['10.0.0.9', 'origin-1'], ['10.0.0.9'], true],
  ['a name of its certificate', ['10.0.0.9', 'origin-1'], ['Origin-1'], true],
  ['IPv6, as in a URL', ['fd00::9'], ['[fd00::9]'], true],
  ["somebody else's address", ['10.0.0.9', 'origin-1'], ['10.0.0.2'], false],
  ["somebody else's name", ['10.0.0.9', 'origin-1'], ['origin-2'], false],
  ['an address that its name leads to', ['origin-1'], ['10.0.0.2', 'origin-1'], true],
  ["an address that somebody else's name leads to", ['origin-1'], ['10.0.0.2', 'origin-2'], false],
  ['a name of a wildcard', ['*.origin.ns.svc'], ['o-1.origin.ns.svc'], true],
  ['a name two parts below a wildcard', ['*.ns.svc'], ['o-1.origin.ns.svc'], false],
  ['a name that a wildcard leaves nothing of', ['*.svc'], ['svc'], false],
  ['any address, where the certificate names none', ['origin-1'], ['10.0.0.2'], true],
  ['any name, where the certificate names none', ['10.0.0.9'], ['origin-2'], true],
  ['anything, where the certificate names nothing', [], ['origin-2'], true],
] as const)('is called by %s', (_, sans, names, may) => {
  expect(notCalledBy(caller(sans), names) === undefined).toBe(may);
});

test.each([
  ['an address', ['10.0.0.9', 'host-1'], 'agent/host-1'],
  ['its loopback, where it calls from there', ['127.0.0.1'], undefined],
  ['names alone', ['shoal-agent'], undefined],
  ['nothing', [], undefined],
] as const)("a certificate that names %s: whether it is one host's own", (_, sans, host) => {
  expect(hostOf(caller(sans))).toBe(host);
});

test('on one machine its loopback tells apart', () => {
  expect(hostOf({ ...caller(['127.0.0.1', '::1']), address: '::1' })).toBe('agent/host-1');
});

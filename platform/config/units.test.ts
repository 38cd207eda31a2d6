import { expect, test } from 'vitest';
import { duration, network, parseDuration, parseHostPort, parseRate, parseSize, port, rate, size } from './units.ts';

test('sizes are bytes, with decimal and binary units', () => {
  expect(parseSize('4MiB')).toBe(4 * 1024 * 1024);
  expect(parseSize('300MB')).toBe(300_000_000);
  expect(parseSize('1.5 GiB')).toBe(1.5 * 2 ** 30);
  expect(parseSize('1024')).toBe(1024);
  for (const bad of ['', '4Mib', '-1MB', '4 MiB x', 'MiB', '1e3', '99999999TiB', '4constructor']) {
    expect(parseSize(bad), bad).toBeUndefined();
  }
});

test('rates are bytes per second, bits are divided by eight', () => {
  expect(parseRate('300MB/s')).toBe(300_000_000);
  expect(parseRate('200Mbit/s')).toBe(25_000_000);
  expect(parseRate('300MB')).toBeUndefined();
});

test('durations are milliseconds and need a unit', () => {
  expect(parseDuration('30s')).toBe(30_000);
  expect(parseDuration('250ms')).toBe(250);
  expect(parseDuration('1.5h')).toBe(5_400_000);
  expect(duration().safeParse(30).success).toBe(false);
  expect(duration().safeParse('30').success).toBe(false);
});

test('addresses: names, IPv4, IPv6 in brackets', () => {
  expect(parseHostPort('h:1')).toEqual({ host: 'h', port: 1 });
  expect(parseHostPort('[::1]:8080')).toEqual({ host: '::1', port: 8080 });
  for (const bad of ['h', '::1:80', 'h:65536', ':80', 'h:']) expect(parseHostPort(bad), bad).toBeUndefined();
});

test('networks: addresses, or the first bits of them', () => {
  for (const good of ['10.0.0.0/8', '192.0.2.1', '::1', 'fd00::/16', '0.0.0.0/0'])
    expect(network().parse(good)).toBe(good);
  for (const bad of ['', 'lb.example', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '::/129', '10.0.0/8', 10]) {
    expect(network().safeParse(bad).success, String(bad)).toBe(false);
  }
});

test('a default goes through the parser', () => {
  expect(size('4MiB').parse(undefined)).toBe(4 * 1024 * 1024);
  expect(rate('200Mbit/s').parse(undefined)).toBe(25_000_000);
  expect(port(15_000).parse(undefined)).toBe(15_000);
  expect(port().parse('80')).toBe(80);
  expect(size().safeParse(undefined).success).toBe(false);
});

/** docs/protocol.md says what the code does: its tables equal the code's, its example is what the encoder gives. */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { piecesMax } from '../piece.ts';
import { encode } from './encode.ts';
import {
  ELSEWHERE_FLAGS,
  FEATURES,
  FRAMES,
  GONE_FLAGS,
  GOODBYE_REASONS,
  HAVES_FLAGS,
  OPEN_FLAGS,
  OPENED_FLAGS,
  PASS_REASONS,
  REFUSE_REASONS,
  REQUEST_FLAGS,
} from './frames.ts';
import {
  clusterBytesMax,
  frameBodyBytesMax,
  hashesPerFrameMax,
  havesPerFrameMax,
  peersPerFrameMax,
  protocolVersion,
  swarmsPerLinkMax,
  wishesPerFrameMax,
} from './limits.ts';

const page = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
const flagsOf: Record<string, Record<string, number>> = {
  open: OPEN_FLAGS,
  request: REQUEST_FLAGS,
  opened: OPENED_FLAGS,
  elsewhere: ELSEWHERE_FLAGS,
  haves: HAVES_FLAGS,
  gone: GONE_FLAGS,
};

test('the table of types', () => {
  const from = { puller: 'P', feeder: 'F', either: 'E' } as const;
  const said = rows.filter(([type]) => type?.startsWith('0x'));
  const meant = Object.values(FRAMES).map((frame) => [
    `0x${frame.type.toString(16).padStart(2, '0')}`,
    frame.kind,
    from[frame.from],
    frame.swarm ? 'yes' : 'no',
    Object.entries(flagsOf[frame.kind] ?? {})
      .map(([name, bit]) => `${bit} ${name}`)
      .join(', '),
    String(frame.bodyMax),
  ]);
  expect(said).toEqual(meant);
});

test('the table of features', () => {
  const said = rows.filter(
    ([bit, name, ...more]) => more.length === 1 && /^\d+$/.test(bit ?? '') && /[a-z]/.test(name ?? ''),
  );
  expect(said.map(([bit, name]) => [name, Number(bit)])).toEqual(Object.entries(FEATURES));
});

test('every message has its body described', () => {
  const section = page.slice(page.indexOf('## 5.'), page.indexOf('## 6.'));
  const described = [...section.matchAll(/^\| (\w+) +\| \S/gm)].map((row) => row[1]);
  expect(described.slice(1)).toEqual(Object.keys(FRAMES));
});

test('reasons and limits', () => {
  const numbered = (names: readonly string[]): string => names.map((name, i) => `${i} ${name}`).join(', ');
  for (const names of [GOODBYE_REASONS, PASS_REASONS, REFUSE_REASONS]) expect(page).toContain(numbered(names));
  const limits = new Map(rows.map(([what, value]) => [what, value]));
  expect(limits.get('frame body')).toBe(String(frameBodyBytesMax));
  expect(limits.get('hashes in a frame')).toBe(String(hashesPerFrameMax));
  expect(limits.get('haves in a frame')).toBe(String(havesPerFrameMax));
  expect(limits.get('swarms open on a link')).toBe(String(swarmsPerLinkMax));
  expect(limits.get('peers in a frame')).toBe(String(peersPerFrameMax));
  expect(limits.get('wishes in a frame')).toBe(String(wishesPerFrameMax));
  expect(limits.get('cluster name, bytes')).toBe(String(clusterBytesMax));
  expect(limits.get('pieces of a blob')).toBe(String(piecesMax));
  expect(page).toContain(`# The peer protocol, version ${protocolVersion}`);
});

test('the example', () => {
  const example = /piece \+ 1|`((?:[0-9a-f]{2} ){8,}[0-9a-f]{2})`/g;
  const bytes = [...page.matchAll(example)].map((match) => match[1]).find((text) => text !== undefined);
  const frame = encode({ kind: 'grant', grant: 300, swarm: 5, piece: -1 });
  expect(
    Buffer.from(frame)
      .toString('hex')
      .replace(/(..)(?=.)/g, '$1 '),
  ).toBe(bytes);
});

/**
 * Keys of what others are told, in a store that is a bucket (docs/index-bucket.md, "MarkTelling others").
 *
 * | key, below the store's prefix                                | what it is                                          |
 * |---|---|
 * | `out/TARGET!/REPO!/SLOT/KIND/NAME/NO-AT-BY-BASE`             | mark: the write BY of a cell that was BASE is for the target |
 * | `claims/TARGET!/REPO!`                                       | cell: who works on what waits of the repository     |
 * | `failed/TARGET!/REPO!`                                       | cell: attempts that failed                          |
 * | `filled/TARGET!/REPO!`                                       | cell: all of the repository was queued, or need not be |
 * | `came/BY`                                                    | mark: the write BY was made, and its cell has forgotten it |
 *
 * Rule: of one target, keys are in the order of repositories, of a repository in that of the writes where each write is a
 *   row (SLOT is its number), and else by kind and name (SLOT is 0).
 */

import type { OutboxKey } from '../../outbox.ts';
import type { OutboxKind } from '../../targets.ts';
import { digestInKey, digestKey, repoIn, repoKey, tagIn, tagPart } from '../layout.ts';

export const OUT = 'out/';
export const CAME = 'came/';
const DIRS = { claim: 'claims/', failed: 'failed/', filled: 'filled/' } as const;
type Dir = keyof typeof DIRS;

/** A cell that was not there has no write; what was queued without one waits for none. */
export const noBase = '0';
export const filledBase = 'filled';

/** Of a number that may be 2^52, and more than a clock says for a long time. */
const hexDigits = 14;
const last = '~';
const kinds: readonly OutboxKind[] = ['blob', 'manifest', 'tag'];

/** `no`: the number of the write's version; `base`: the write that its cell had when it was begun. */
export type OutMark = {
  /** Below the store's prefix. */
  readonly key: string;
  readonly no: number;
  readonly atMs: number;
  readonly by: string;
  readonly base: string;
};
export type OutPlace = { readonly target: string; readonly repo: string };

const targetKey = (name: string): string => `${name.replaceAll('.', '.-').replaceAll(':', '.0')}!`;
const targetIn = (key: string): string => key.slice(0, -1).replaceAll('.0', ':').replaceAll('.-', '.');
const hex = (no: number): string => Math.max(0, Math.floor(no)).toString(16).padStart(hexDigits, '0');

export const outOfTarget = (target: string): string => `${OUT}${targetKey(target)}/`;
export const outOfRepo = ({ target, repo }: OutPlace): string => `${outOfTarget(target)}${repoKey(repo)}/`;
/** Below `out/`: behind all keys of the target. */
export const afterTarget = (target: string): string => `${targetKey(target)}${last}`;
/** Below the target: behind all keys of the repository. */
export const afterRepoOut = (repo: string): string => `${repoKey(repo)}${last}`;

export function outOf({ target, repo, kind, name, slot }: OutboxKey): string {
  const part = kind === 'tag' ? tagPart(name) : digestKey(name);
  return `${outOfRepo({ target, repo })}${slot === undefined ? noBase : hex(slot)}/${kind}/${part}/`;
}

export function outAt(key: OutboxKey, { no, atMs, by, base }: Omit<OutMark, 'key'>): string {
  return `${outOf(key)}${hex(no)}-${hex(atMs)}-${by}-${base}`;
}

/** Of a key below `out/`; undefined: somebody else has written it. */
export function outIn(key: string): { readonly of: OutboxKey; readonly mark: OutMark } | undefined {
  const place = parted(key);
  if (place === undefined) return undefined;
  const [slot = '', kind = '', part = '', said = '', ...rest] = place.rest.split('/');
  const [no, at, by = '', base = ''] = said.split('-');
  const name = kind === 'tag' ? tagIn(part) : digestInKey(part);
  const known = kinds.find((one) => one === kind);
  const [number, atMs] = [Number.parseInt(no ?? '', 16), Number.parseInt(at ?? '', 16)];
  const wrong = known === undefined || name === undefined || by === '' || base === '' || rest.length > 0;
  if (wrong || !Number.isSafeInteger(number) || !Number.isSafeInteger(atMs)) return undefined;
  const { target, repo } = place;
  const of = { target, repo, kind: known, name, ...(slot === noBase ? {} : { slot: Number.parseInt(slot, 16) }) };
  return { of, mark: { key: OUT + key, no: number, atMs, by, base } };
}

export const outPlaceAt = (dir: Dir, { target, repo }: OutPlace): string =>
  `${DIRS[dir]}${targetKey(target)}/${repoKey(repo)}`;
export const outPlacesOf = (dir: Dir, target?: string): string =>
  DIRS[dir] + (target === undefined ? '' : `${targetKey(target)}/`);

/** Of a key below `outPlacesOf(dir)`. */
export function outPlaceIn(key: string): OutPlace | undefined {
  const place = parted(`${key}/`);
  return place?.rest === '' ? place : undefined;
}

export const cameAt = (by: string): string => CAME + by;

/** The target of a key below `out/`. */
export function targetAt(key: string): string {
  return targetIn(key.slice(0, key.indexOf('!/') + 1));
}

function parted(key: string): (OutPlace & { readonly rest: string }) | undefined {
  const first = key.indexOf('!/');
  const second = key.indexOf('!/', first + 2);
  if (first < 0 || second < 0) return undefined;
  const repo = repoIn(key.slice(first + 2, second + 1));
  const target = targetIn(key.slice(0, first + 1));
  return repo === undefined ? undefined : { target, repo, rest: key.slice(second + 2) };
}

/**
 * Which path of HDFS a key is, and which key a path: a directory for each part of the key. Keys of letters, digits and
 * `._-` are their own paths, so that other programs find what is there.
 *
 * Rule 1: names are ASCII without what HDFS, or a gateway before it, reads otherwise (`:`, `%`, `;`, `+`, blanks): each
 *         such byte is a mark and two hexadecimal digits. `!` after a name tells it from one that is taken: none at all,
 *         `.`, `..`, those that HDFS keeps for itself, and our directory of uploads.
 * Rule 2: names are in the order of the key's bytes, since HDFS lists a directory by them: so each gap between plain
 *         characters has a mark of its own, that sorts where the gap is.
 * Rule 3: no two keys have one path.
 */

import { BackendError } from '../backend.ts';

/** As S3 has it. */
const keyBytesMax = 1024;
/** What HDFS takes by default (dfs.namenode.fs-limits.max-component-length). */
const nameBytesMax = 255;

const plain = /^[A-Za-z0-9._-]$/;
/** The mark of the bytes below `-`, between `9` and `A`, `Z` and `_`, `_` and `a`, and beyond `z`. */
const marks = [
  { upTo: 0x2c, mark: '!' },
  { upTo: 0x40, mark: '=' },
  { upTo: 0x5e, mark: '^' },
  { upTo: 0x60, mark: '`' },
  { upTo: 0xff, mark: '~' },
] as const;
const taken = '!';
const reserved: ReadonlySet<string> = new Set(['', '.', '..', '.snapshot', '.reserved']);

const nameOfByte = Array.from({ length: 256 }, (_, byte) => {
  const char = String.fromCharCode(byte);
  if (plain.test(char)) return char;
  const mark = marks.find(({ upTo }) => byte <= upTo)?.mark ?? '';
  return `${mark}${byte.toString(16).toUpperCase().padStart(2, '0')}`;
});

/** The bytes of a part of a key as they stand in names; of a part's beginning: what the names of all such parts begin with. */
export function escaped(part: string): string {
  let name = '';
  for (const byte of Buffer.from(part)) name += nameOfByte[byte];
  return name;
}

/** HdfsNames of directories and files below the root. */
export class HdfsNames {
  readonly #name: string;
  readonly #uploads: string;

  /** `name`: of the backend; `uploads`: of the directory below the root where objects are written. */
  constructor(name: string, uploads: string) {
    this.#name = name;
    this.#uploads = uploads;
  }

  /** The path of `key` below the root, in names. */
  of(key: string): string[] {
    const names = key.split('/').map((part, depth) => this.ofPart(part, depth));
    const fits = Buffer.byteLength(key) <= keyBytesMax && names.every((name) => name.length <= nameBytesMax);
    if (key === '' || !key.isWellFormed() || !fits)
      throw new BackendError(
        'refused',
        `${this.#name}: ${JSON.stringify(key.slice(0, 100))} is no key that HDFS can hold: 1 to ${keyBytesMax} bytes of Unicode, at most ${nameBytesMax} between slashes (three for each that is no letter, digit, dot, dash or underscore)`,
      );
    return names;
  }

  /** `depth`: how many parts are before it. */
  ofPart(part: string, depth: number): string {
    return reserved.has(part) || (depth === 0 && part === this.#uploads) ? `${escaped(part)}${taken}` : escaped(part);
  }

  /** The part of a key that a name stands for; undefined: it is none of ours, or that of the uploads. */
  partOf(name: string, depth: number): string | undefined {
    const bytes = name.replace(/!$/, '').replace(/[!=^`~]([0-9A-F]{2})/g, (_, hex: string) => `\0${hex}`);
    const raw: number[] = [];
    for (let at = 0; at < bytes.length; at++) {
      const code = bytes.charCodeAt(at);
      if (code > 0x7e) return undefined;
      if (code !== 0) raw.push(code);
      else {
        raw.push(Number.parseInt(bytes.slice(at + 1, at + 3), 16));
        at += 2;
      }
    }
    const part = Buffer.from(raw).toString();
    return this.ofPart(part, depth) === name ? part : undefined;
  }
}

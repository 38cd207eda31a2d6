/** The end of what a process said, for the message that tells why it failed: of its streams, or of its log's file. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Readable } from 'node:stream';

/** What a message has room for. */
const tailBytes = 4_096;
const tailLines = 20;
/** Of a line without an end: what comes beyond it is thrown away. */
const lineCharsMax = 64 * 1024;

/** Reads streams of text to their end, and keeps their latest lines. */
export class Tail {
  readonly #lines: string[] = [];
  readonly #listeners = new Set<(line: string) => void>();

  constructor(streams: readonly Readable[]) {
    for (const stream of streams) this.#read(stream);
  }

  text(): string {
    return this.#lines.join('\n').slice(-tailBytes);
  }

  /** Each line from now on, until the returned function is called. */
  onLine(listener: (line: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #read(stream: Readable): void {
    let begun = '';
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      const [first = '', ...more] = text.split('\n');
      begun += first.slice(0, lineCharsMax - begun.length);
      for (const next of more) {
        this.#say(begun);
        begun = next.slice(0, lineCharsMax);
      }
    });
    stream.once('end', () => begun !== '' && this.#say(begun));
  }

  #say(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > tailLines) this.#lines.shift();
    for (const listener of this.#listeners) listener(line);
  }
}

/** The last bytes of a file; '' where there is no file. */
export function fileEnd(file: string): string {
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    const { size } = fstatSync(fd);
    const buffer = Buffer.alloc(Math.min(size, tailBytes));
    const bytes = readSync(fd, buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8', 0, bytes).trimEnd().split('\n').slice(-tailLines).join('\n');
  } catch {
    return '';
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

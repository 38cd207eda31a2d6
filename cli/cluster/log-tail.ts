/** The end of a part's log, for the message that tells why it failed. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const tailBytes = 4_096;
const tailLines = 8;

/** `\nlast lines of FILE:\n  …`, or nothing where there is no log. */
export function logTail(file: string): string {
  const text = readEnd(file);
  if (text === '') return '';
  const lines = text.trimEnd().split('\n').slice(-tailLines);
  return `\nlast lines of ${file}:\n${lines.map((line) => `  ${readable(line)}`).join('\n')}`;
}

/** A line of our own log as `level message: what`; any other as it is. */
function readable(line: string): string {
  try {
    const { time, level, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>;
    if (typeof level !== 'string' || typeof msg !== 'string') return line;
    const { stack, message } = (err ?? {}) as { stack?: string; message?: string };
    const known = stack ?? message ?? '';
    const details = JSON.stringify({ ...rest, role: undefined, name: undefined });
    return `${String(time)} ${level} ${msg}${details === '{}' ? '' : ` ${details}`}${known === '' ? '' : `: ${known}`}`;
  } catch {
    return line;
  }
}

function readEnd(file: string): string {
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    const { size } = fstatSync(fd);
    const buffer = Buffer.alloc(Math.min(size, tailBytes));
    const bytes = readSync(fd, buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8', 0, bytes);
  } catch {
    return '';
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** The end of a part's log, for the message that tells why it failed. */

import { fileEnd } from '../../platform/lifecycle/tail.ts';

const tailLines = 8;

/** `\nlast lines of FILE:\n  …`, or nothing where there is no log. */
export function logTail(file: string): string {
  const text = fileEnd(file);
  if (text === '') return '';
  const lines = text.split('\n').slice(-tailLines);
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

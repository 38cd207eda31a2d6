/** What nobody is to see: typed without an echo, or from standard input. */

import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { StartError } from '../../platform/lifecycle/errors.ts';

/** A line, and its end. */
const bytesMax = 8_192;

export type SecretInput = {
  readonly stdin: NodeJS.ReadStream;
  /** Where it is asked for. */
  readonly screen: NodeJS.WritableStream;
  readonly signal: AbortSignal;
};

/** Typed twice at a terminal; else the first line of what comes. Throws StartError. */
export async function readSecret(what: string, { stdin, screen, signal }: SecretInput): Promise<string> {
  if (!stdin.isTTY) return await firstLine(stdin, what);
  const once = await typed(`${what}: `, { stdin, screen, signal });
  const again = await typed(`${what}, once more: `, { stdin, screen, signal });
  if (once !== again) throw new StartError('these are not the same: nothing was changed');
  return once;
}

async function typed(question: string, { stdin, screen, signal }: SecretInput): Promise<string> {
  screen.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: silent, terminal: true });
  try {
    return await lines.question('', { signal });
  } finally {
    lines.close();
    screen.write('\n');
  }
}

async function firstLine(stdin: NodeJS.ReadStream, what: string): Promise<string> {
  let text = '';
  for await (const chunk of stdin) {
    text += String(chunk);
    if (text.length > bytesMax) throw new StartError(`${what}: standard input has more than a line`);
  }
  return text.split(/\r?\n/, 1)[0] as string;
}

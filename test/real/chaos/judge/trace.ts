/** Why a pull or a push failed, in the words of the nodes that had to do with it: the lines of their logs that name its request. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PullRecord, PushRecord } from '../load/records.ts';

/** What is printed of each; the logs themselves are kept where `--keep` says. */
const linesMax = 12;
const charsMax = 300;
const tracedMax = 10;

export async function trace(records: readonly (PullRecord | PushRecord)[], logs: string): Promise<string[]> {
  const names = await readdir(logs);
  const texts = await Promise.all(names.map((name) => readFile(join(logs, name), 'utf8')));
  return records
    .filter(({ failure }) => failure?.requestId !== undefined)
    .slice(0, tracedMax)
    .map(({ no, failure }) => {
      const id = failure?.requestId as string;
      const lines = texts.flatMap((text) => text.split('\n').filter((line) => line.includes(id)));
      const shown = lines.toSorted(byTime).slice(0, linesMax);
      return [`request ${id} of ${no}:`, ...shown.map((line) => `    ${short(line).slice(0, charsMax)}`)].join('\n');
    });
}

/** Without what says nothing here. */
function short(line: string): string {
  try {
    const { time, name, msg, ...rest } = JSON.parse(line);
    for (const key of ['level', 'role', 'requestId', 'traceId', 'spanId', 'parentId']) delete rest[key];
    return `${time} ${name} ${msg} ${JSON.stringify(rest)}`;
  } catch {
    return line;
  }
}

const byTime = (a: string, b: string): number => timeOf(a).localeCompare(timeOf(b));
const timeOf = (line: string): string => /"time":"([^"]*)"/.exec(line)?.[1] ?? '';

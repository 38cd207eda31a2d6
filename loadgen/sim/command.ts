/** What `loadgen sim` prints and writes: progress, table, picture, trace, JSON. */

import { closeSync, createWriteStream, openSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { finished } from 'node:stream/promises';
import type { SimOptions } from './options.ts';
import { pieceLengthOf } from './options.ts';
import { plotOf } from './plot.ts';
import type { SimResult } from './result.ts';
import { type RunProgress, runSim } from './run.ts';
import { verdictOf } from './scales.ts';

/** Bytes that a host costs, and a host's piece: measured: 2,600 hosts and 2,862 pieces took 2.2 GiB. */
const bytesPerHost = 500_000;
const bytesPerHostPiece = 150;

export async function runSimCommand(options: SimOptions): Promise<void> {
  const problem = problemOf(options);
  if (problem !== undefined) {
    process.stderr.write(`loadgen sim: ${problem}\n`);
    process.exitCode = 2;
    return;
  }
  const trace = options.trace === undefined ? undefined : createWriteStream(options.trace);
  const result = runSim(options, {
    progress: progressLine(),
    trace: trace === undefined ? undefined : (line) => trace.write(`${JSON.stringify(line)}\n`),
  });
  clearLine();
  if (trace !== undefined) await finished(trace.end());
  if (options.plot !== undefined) await plot(options, result, options.plot);
  process.stdout.write(`${table(result)}\n`);
  if (options.scale !== undefined)
    process.stdout.write(`${`scale ${options.scale}`.padEnd(34)}${verdictOf(options.scale, result)}\n`);
  if (options.json) {
    const { timesS: _, ...figures } = result;
    process.stdout.write(`${JSON.stringify(figures)}\n`);
  }
  if (result.incompleteUp > 0) process.exitCode = 1;
}

async function plot(options: SimOptions, result: SimResult, file: string): Promise<void> {
  const others =
    options.policy === 'kraken'
      ? []
      : [runSim({ ...options, policy: 'kraken', piece: 4 * 2 ** 20 }, { progress: progressLine() })];
  clearLine();
  await writeFile(file, plotOf([result, ...others]));
}

/** Why a run with these options would fail, as far as that can be told before it. */
export function problemOf(options: SimOptions): string | undefined {
  return memoryProblem(options) ?? fileProblem('--plot', options.plot) ?? fileProblem('--trace', options.trace);
}

/** Why the file cannot be written, found out before the run and not after it. */
function fileProblem(option: string, file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    closeSync(openSync(file, 'a'));
    return undefined;
  } catch (error) {
    return `${option} ${file} cannot be written (${(error as NodeJS.ErrnoException).code}): choose another file`;
  }
}

/** Why the run cannot be held in memory, and what to lower. */
function memoryProblem(options: SimOptions): string | undefined {
  const pieces = Math.ceil(options.image / pieceLengthOf(options, options.image / options.layers));
  const perHost = options.downloads === 0 ? 1 : Math.ceil(options.downloads / options.hosts);
  const bytes = options.hosts * (bytesPerHost + perHost * pieces * bytesPerHostPiece);
  const room = totalmem() * 0.8;
  if (bytes <= room) return undefined;
  const gib = (n: number): string => (n / 2 ** 30).toFixed(1);
  return `${options.hosts} hosts x ${pieces} pieces need about ${gib(bytes)} GiB, this machine allows ${gib(room)}: lower --hosts or --image, or raise --piece`;
}

/** On a terminal: how far it is, how fast, and how long it will take yet if it goes on so. */
function progressLine(): ((at: RunProgress) => void) | undefined {
  if (!process.stderr.isTTY) return undefined;
  const startedMs = performance.now();
  let shownMs = startedMs;
  let shownEvents = 0;
  return (at) => {
    const wallMs = performance.now();
    if (wallMs - shownMs < 500) return;
    const perS = (1000 * (at.events - shownEvents)) / (wallMs - shownMs);
    shownMs = wallMs;
    shownEvents = at.events;
    process.stderr.write(`\r${progressText(at, perS, (wallMs - startedMs) / 1000)}\x1b[K`);
  };
}

/** `perS`: events a second lately. What is left is told by pieces, once there are enough of them to tell it by. */
export function progressText({ nowMs, share, done, downloads }: RunProgress, perS: number, wallS: number): string {
  const left = share < 0.02 ? '' : `, ${Math.ceil((wallS * (1 - share)) / share)} s left`;
  const hosts = `${done} of ${downloads} downloads done, ${(100 * share).toFixed(1)} % of the pieces`;
  return `${(nowMs / 1000).toFixed(2)} s of virtual time: ${hosts}, ${Math.round(perS / 1000)},000 events/s${left}`;
}

function clearLine(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
}

function table(result: SimResult): string {
  const seconds = (value: number): string => (Number.isNaN(value) ? '-' : `${value.toFixed(2)} s`);
  const rows: [string, string][] = [
    [
      'hosts, downloads',
      `${result.hosts}, ${result.downloads}${result.incomplete > 0 ? ` (${result.incomplete} incomplete)` : ''}`,
    ],
    ['policy, network', `${result.policy}, ${result.network}`],
    ['bound', seconds(result.boundS)],
    ['p50 / p90 / p99', [result.p50S, result.p90S, result.p99S].map(seconds).join(' / ')],
    ['p99.9 / max', [result.p999S, result.maxS].map(seconds).join(' / ')],
    ['healthy hosts, p99', seconds(result.healthyP99S)],
    ['first piece, half in order (p50)', `${seconds(result.firstPieceP50S)}, ${seconds(result.prefix50P50S)}`],
    ...(Number.isNaN(result.rangeP50S)
      ? []
      : ([
          ['first range (p50, p99)', [result.firstRangeP50S, result.firstRangeP99S].map(seconds).join(', ')],
          [
            'ranges (p50, p99)',
            `${[result.rangeP50S, result.rangeP99S].map(seconds).join(', ')}; ${result.rangesUnserved} never`,
          ],
        ] as [string, string][])),
    ...(result.backendS === 0
      ? []
      : ([
          ['backend', seconds(result.backendS)],
          [
            'over max(backend, bound): p50, p99, max',
            [result.overMaxP50, result.overMaxP99, result.overMaxMax].map((ratio) => ratio.toFixed(3)).join(', '),
          ],
        ] as [string, string][])),
    ['announces, in the busiest second', `${result.announces}, ${result.announcesMax}`],
    [
      'copies from origins, duplicates',
      `${result.originCopies.toFixed(2)}, ${result.duplicateBytesPercent.toFixed(2)} %`,
    ],
    ...(result.crossZoneCopies.length < 2
      ? []
      : ([['copies into each zone from others', result.crossZoneCopies.map((n) => n.toFixed(2)).join(', ')]] as [
          string,
          string,
        ][])),
    ['messages, events', `${result.messages}, ${result.events}`],
    ['wall, CPU, memory', `${result.wallS.toFixed(1)} s, ${result.cpuS.toFixed(1)} s, ${result.rssMiB} MiB`],
    ['seed, trace', `${result.seed}, ${result.traceHash}`],
  ];
  return rows.map(([name, value]) => `${name.padEnd(34)}${value}`).join('\n');
}

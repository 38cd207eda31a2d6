/** `npm run loadgen -- restart`: what a run comes to, as lines or JSON. */

import type { RestartOptions } from './options.ts';
import { restartRun } from './run.ts';

export async function runRestartCommand(options: RestartOptions): Promise<void> {
  const result = restartRun(options);
  const { before, meanwhile, after } = result;
  const lines = [
    `${options.agents} agents with ${options.leases} leases each; one of ${options.trackers} trackers ${options.hangs ? 'hangs' : 'is gone'} for ${options.downMs / 1000} s`,
    `back after: half ${result.backS50} s, 99 percent ${result.backS99} s`,
    `busiest second ${result.requestsPerSMax} requests, ${result.entriesPerSMax} blobs; until then ${result.requests} requests, ${result.entries} blobs`,
    `a request waited ${result.queuedMsMax} ms at most, ${result.lost} were given up`,
    ...Object.entries({ before, meanwhile, after }).map(
      ([when, of]) =>
        `pulls ${when}: ${of.pulls}, answer p99 ${of.answerMs99} ms, a neighbour p50 ${of.neighbourMs50} ms, p99 ${of.neighbourMs99} ms, origins asked by ${of.alone * 100} percent`,
    ),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
}

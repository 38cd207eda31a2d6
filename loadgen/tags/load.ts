/** Connections that ask at once, each one thing after the other, until a time is over; and how long each answer took. */

import { setTimeout as sleep } from 'node:timers/promises';
import { percentile, rounded } from '../../harness/numbers.ts';
import type { Connection } from './connection.ts';

/** What was answered, and how long each answer took. */
export type Answers = { readonly ms: readonly number[]; readonly seconds: number };

export type Figures = { readonly perS: number; readonly p50Ms: number; readonly p99Ms: number };

/** `next`: what connection `lane` asks now. */
export async function askFor(
  connections: readonly Connection[],
  durationMs: number,
  next: (lane: number) => string,
): Promise<Answers> {
  const ms: number[] = [];
  const startedMs = performance.now();
  const untilMs = startedMs + durationMs;
  const lane = async (connection: Connection, no: number): Promise<void> => {
    for (let nowMs = performance.now(); nowMs < untilMs; ) {
      await connection.ask(next(no));
      const endedMs = performance.now();
      ms.push(endedMs - nowMs);
      nowMs = endedMs;
    }
  };
  await Promise.all(connections.map(lane));
  return { ms, seconds: (performance.now() - startedMs) / 1000 };
}

/** Each asks once, at some moment of the time. */
export async function askOnce(connections: readonly Connection[], withinMs: number, request: string): Promise<Answers> {
  const startedMs = performance.now();
  const ms = await Promise.all(
    connections.map(async (connection, no) => {
      await sleep((no * withinMs) / connections.length);
      const sentMs = performance.now();
      await connection.ask(request);
      return performance.now() - sentMs;
    }),
  );
  return { ms, seconds: (performance.now() - startedMs) / 1000 };
}

/** Of several rounds. */
export function figures(rounds: readonly Answers[]): Figures {
  const ms = rounds.flatMap((round) => round.ms);
  const seconds = rounds.reduce((total, round) => total + round.seconds, 0);
  return {
    perS: rounded(ms.length / seconds),
    p50Ms: rounded(percentile(ms, 0.5)),
    p99Ms: rounded(percentile(ms, 0.99)),
  };
}

/** The cheaper network against the exact one, and both against what a link can do. */
import { expect, test } from 'vitest';
import { prng } from '../../core/prng.ts';
import { EventQueue } from './events.ts';
import { ExactNetwork } from './network/exact.ts';
import { FastNetwork } from './network/fast.ts';
import { CallEvent, type Network, type NetworkConfig, Pipe } from './network/network.ts';
import { type SimOptions, simCommand } from './options.ts';
import { runSim } from './run.ts';

const config: NetworkConfig = {
  latencyMs: 0,
  jitterMs: 0,
  zoneLatencyMs: 0,
  zoneBytesPerS: Number.POSITIVE_INFINITY,
  zones: 1,
};

function cluster(kind: 'exact' | 'fast', caps: readonly (readonly [number, number])[]): Network {
  const events = new EventQueue();
  const network =
    kind === 'exact' ? new ExactNetwork(events, config, prng(1)) : new FastNetwork(events, config, prng(1));
  for (const [upBytesPerS, downBytesPerS] of caps)
    network.addHost({ upBytesPerS, downBytesPerS, zone: 0, messagesPerS: 1e9 });
  return network;
}

/** Sends each of `pieces` ([from, to, bytes, atMs]) on a pipe of its own; when each arrives, milliseconds. */
function times(network: Network, pieces: readonly (readonly [number, number, number, number])[]): number[] {
  const { events } = network;
  const done: number[] = pieces.map(() => Number.NaN);
  pieces.forEach(([from, to, bytes, atMs], i) => {
    const arrived = new CallEvent(() => {
      done[i] = events.nowMs;
    });
    events.schedule(new CallEvent(() => network.sendPiece(new Pipe(from, to), bytes, arrived)), atMs);
  });
  events.run(1e9);
  return done;
}

const MB = 1e6;

test.each(['exact', 'fast'] as const)('%s: pieces take what their links allow', (kind) => {
  const near = (values: number[]): unknown[] => values.map((value) => expect.closeTo(value, -0.5));
  const four: [number, number][] = [
    [100 * MB, 100 * MB],
    [100 * MB, 100 * MB],
    [100 * MB, 100 * MB],
    [100 * MB, 25 * MB],
  ];
  // Alone: 10 MB at 100 MB/s.
  expect(times(cluster(kind, four), [[0, 1, 10 * MB, 0.3]])).toEqual(near([100.3]));
  // Two share an uplink; the one that stays gets it all.
  expect(
    times(cluster(kind, four), [
      [0, 1, 10 * MB, 0],
      [0, 2, 20 * MB, 0],
    ]),
  ).toEqual(near([200, 300]));
  // One is held back by its receiver, and the other has what is left: 25 and 75 MB/s.
  expect(
    times(cluster(kind, four), [
      [0, 3, 10 * MB, 0],
      [0, 1, 30 * MB, 0],
    ]),
  ).toEqual(near([400, 400]));
  // Begun while the first is under way.
  expect(
    times(cluster(kind, four), [
      [0, 1, 10 * MB, 0],
      [2, 1, 10 * MB, 50.4],
    ]),
  ).toEqual(near([149.6, 200]));
});

test.each(['exact', 'fast'] as const)('%s: small pieces one after the other fill a link', (kind) => {
  const network = cluster(kind, [
    [300 * MB, 300 * MB],
    [300 * MB, 300 * MB],
  ]);
  const pipe = new Pipe(0, 1);
  let doneMs = 0;
  for (let i = 0; i < 1000; i++)
    network.sendPiece(
      pipe,
      300_000,
      new CallEvent(() => {
        doneMs = network.events.nowMs;
      }),
    );
  network.events.run(1e9);
  expect(doneMs).toBeGreaterThan(999);
  expect(doneMs).toBeLessThan(1004);
});

async function optionsOf(line: string): Promise<SimOptions> {
  let options: SimOptions | undefined;
  const command = simCommand(async (given) => {
    options = given;
  });
  await command.parseAsync(line.split(' '), { from: 'user' });
  return options as SimOptions;
}

const small = '--origins 1 --layers 1 --arrive 0s --up 200Mbit/s --down 200Mbit/s --origin-up 200Mbit/s';
// From seed to seed the last host of a few that slow ones hold up differs by 12 to 16 percent, the others by 3 to 7.
test.each([
  { line: `--hosts 12 --image 64MiB ${small}`, seeds: 8, p50S: 0.03, healthyP99S: 0.03 },
  { line: `--hosts 30 --image 64MiB --piece 1MiB ${small}`, seeds: 8, p50S: 0.03, healthyP99S: 0.03 },
  {
    line: '--hosts 30 --image 100MB --layers 2 --up 200MB/s --down 300MB/s --slow 10%:60MB/s',
    seeds: 8,
    p50S: 0.05,
    healthyP99S: 0.1,
  },
])(
  'a whole run: both networks agree: $line',
  async ({ line, seeds, ...most }) => {
    const sums = { exact: { p50S: 0, healthyP99S: 0 }, fast: { p50S: 0, healthyP99S: 0 } };
    for (const network of ['exact', 'fast'] as const) {
      for (let seed = 1; seed <= seeds; seed++) {
        const { p50S, healthyP99S } = runSim(await optionsOf(`${line} --network ${network} --seed ${seed}`));
        sums[network].p50S += p50S;
        sums[network].healthyP99S += healthyP99S;
      }
    }
    for (const key of ['p50S', 'healthyP99S'] as const)
      expect(Math.abs(sums.fast[key] / sums.exact[key] - 1)).toBeLessThan(most[key]);
  },
  300_000,
);

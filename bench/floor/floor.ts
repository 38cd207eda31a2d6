/**
 * The floor: what the same bytes cost a program that makes the same system calls and the same hash, and has no protocol.
 * A goal for CPU is a multiple of it, since machines differ by a factor of three and ratios hold.
 *
 * Rule: of the layouts of threads that are known the cheapest counts, for each role by itself.
 */

import { rmSync } from 'node:fs';
import { request } from 'undici';
import { rounded } from '../../harness/numbers.ts';
import { cpuSeconds } from '../../harness/proc.ts';
import { run } from '../../harness/programs.ts';
import type { Figures } from '../../harness/report.ts';
import { Child, isReady, nodeCommand } from '../../platform/lifecycle/child.ts';
import { launchEnv, launchFlags, nurseryOf } from '../../platform/lifecycle/launch.ts';
import type { Contestant, Results, Sample } from '../pull/contest.ts';

export const layouts = ['one', 'two'] as const;
type Layout = (typeof layouts)[number];
export type FloorName = `floor-${Layout}` | `floorReader-${Layout}`;

const readyMsMax = 30_000;
/** As an agent and an origin are started. */
const flags = launchFlags(nurseryOf('agent'));
const variables = Object.entries(launchEnv()).map(([name, value]) => `${name}=${value}`);

/** A blob's file, as an origin has it, and where the copy goes. */
export type FloorPlan = { readonly file: string; readonly out: string; readonly bytes: number };

/** A sender and a receiver of one layout, for as long as the stack. */
class Pair {
  readonly #sender: Child;
  readonly #receiver: Child;
  readonly #url: string;
  readonly #out: string;

  private constructor(sender: Child, receiver: Child, { url, out }: { url: string; out: string }) {
    this.#sender = sender;
    this.#receiver = receiver;
    this.#url = url;
    this.#out = out;
  }

  static async start(stack: AsyncDisposableStack, layout: Layout, { file, out, bytes }: FloorPlan): Promise<Pair> {
    const started = async (program: string, args: readonly string[]) => {
      const node = nodeCommand(new URL(program, import.meta.url), [layout, ...args, String(bytes)], flags);
      const command = ['env', ...variables, ...node];
      const plan = { name: `floor ${program}`, command, output: 'ours', channel: true } as const;
      const { child, said } = await Child.ready(plan, (one) => one.message(isReady, readyMsMax));
      return { child: stack.use(child), ports: said.ports };
    };
    const sender = await started('send.ts', [file]);
    const receiver = await started('receive.ts', [String(sender.ports['peer']), out]);
    return new Pair(sender.child, receiver.child, { url: `http://127.0.0.1:${receiver.ports['http']}`, out });
  }

  contestants(layout: Layout, bytes: number): Contestant<FloorName>[] {
    const after = async (): Promise<void> => rmSync(this.#out, { force: true });
    const pull = async (): Promise<void> => {
      const { statusCode, body } = await request(`${this.#url}/pull`, { headersTimeout: 0, bodyTimeout: 0 });
      await body.dump();
      if (statusCode !== 200) throw new Error(`the floor answered ${statusCode}`);
    };
    const read = async (): Promise<void> => void (await run('curl', ['-sf', `${this.#url}/read`]));
    return [
      { name: `floor-${layout}`, touches: bytes, run: () => this.#measured(pull), after },
      { name: `floorReader-${layout}`, touches: bytes, run: () => this.#measured(read), after },
    ];
  }

  async #measured(work: () => Promise<void>): Promise<Sample> {
    const cpu = () => ({ agent: cpuSeconds(this.#receiver.pid), origin: cpuSeconds(this.#sender.pid) });
    const before = cpu();
    const startedMs = performance.now();
    await work();
    const seconds = (performance.now() - startedMs) / 1000;
    const after = cpu();
    return { seconds, cpuS: { agent: after.agent - before.agent, origin: after.origin - before.origin } };
  }
}

export async function floorContestants(
  stack: AsyncDisposableStack,
  plan: FloorPlan,
): Promise<readonly Contestant<FloorName>[]> {
  const all: Contestant<FloorName>[] = [];
  for (const layout of layouts) all.push(...(await Pair.start(stack, layout, plan)).contestants(layout, plan.bytes));
  return all;
}

type Ours = 'pull' | 'pullReader';

/** Ours over the cheapest layout, and how fast the fastest is. */
export function floorFigures<N extends string>(results: Results<N | FloorName | Ours>, bytes: number): Figures {
  const gb = bytes / 1e9;
  const least = (kind: 'floor' | 'floorReader', of: 'agent' | 'origin'): { layout: Layout; cpuS: number } =>
    layouts
      .map((layout) => ({ layout, cpuS: results.cpuS(`${kind}-${layout}`, of) }))
      .reduce((one, other) => (other.cpuS < one.cpuS ? other : one));
  const receiver = least('floor', 'agent');
  const reader = least('floorReader', 'agent');
  const sender = least('floor', 'origin');
  const speed = (ours: Ours, kind: 'floor' | 'floorReader'): number =>
    Math.min(...layouts.map((layout) => results.speedRatio(ours, `${kind}-${layout}`)));
  return {
    floorCpuSPerGB: rounded(receiver.cpuS / gb),
    floorReaderCpuSPerGB: rounded(reader.cpuS / gb),
    floorSeederCpuSPerGB: rounded(sender.cpuS / gb),
    floorLayouts: `receiver ${receiver.layout}, with a reader ${reader.layout}, sender ${sender.layout}`,
    agentCpuOverFloor: rounded(results.cpuS('pull', 'agent') / receiver.cpuS),
    agentReaderCpuOverFloor: rounded(results.cpuS('pullReader', 'agent') / reader.cpuS),
    seederCpuOverFloor: rounded(results.cpuS('pull', 'origin') / sender.cpuS),
    pullRateOverFloor: rounded(speed('pull', 'floor')),
    pullReaderRateOverFloor: rounded(speed('pullReader', 'floorReader')),
  };
}

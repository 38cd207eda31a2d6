/** The attacker's processes: as many as the connections need that one process may have open. */

import { Child, nodeCommand, ofKind } from '../../platform/lifecycle/child.ts';
import { openFilesMax } from '../../platform/lifecycle/open-files.ts';
import type { AttackerDone, AttackerPlan } from './attacker.ts';
import { addUp, type HeardCounts } from './heard.ts';

/** What a process has open beside its connections. */
const ownFiles = 500;
/** On Linux all of 127.0.0.0/8 is this machine: nobody else calls from here. */
const addresses = 66;
const endMs = 2_000;
/** Beyond its duration: what an attack has begun by then, on a machine that is busy with it. */
const lateMs = 120_000;

export class Attackers implements AsyncDisposable {
  readonly #children: readonly Child[];
  readonly #connections: number;

  constructor(connections: number) {
    this.#connections = connections;
    const count = Math.max(2, Math.ceil(connections / (openFilesMax() - ownFiles)));
    const command = nodeCommand(
      new URL('./attacker.ts', import.meta.url),
      [],
      ['--disable-warning=ExperimentalWarning'],
    );
    this.#children = Array.from({ length: count }, (_, i) =>
      Child.start({ name: `attacker ${i + 1}`, command, output: 'ours', channel: true }),
    );
  }

  get count(): number {
    return this.#children.length;
  }

  async attack(plan: Pick<AttackerPlan, 'name' | 'on' | 'durationMs'>): Promise<HeardCounts> {
    const each = Math.ceil(this.#connections / this.#children.length);
    const heard = await Promise.all(
      this.#children.map(async (child, i) => {
        const done = child.message(ofKind<AttackerDone>('done'), plan.durationMs + lateMs);
        child.send({
          kind: 'attack',
          from: `127.0.0.${addresses + i}`,
          connections: each,
          ...plan,
        } satisfies AttackerPlan);
        return (await done).heard;
      }),
    );
    return addUp(heard);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => child.end(endMs)));
  }
}

/** A process of the attacker: does what it is told over its channel, and tells what came of it. */

import type { HeardCounts } from './heard.ts';
import { heardNothing } from './heard.ts';
import { attackNamed } from './kinds/all.ts';
import type { AttackName } from './options.ts';
import type { Target } from './target.ts';
import { Wire } from './wire.ts';

export type AttackerPlan = {
  readonly kind: 'attack';
  readonly name: AttackName;
  readonly on: Target;
  /** An address of this machine's. */
  readonly from: string;
  readonly connections: number;
  readonly durationMs: number;
};
export type AttackerDone = { readonly kind: 'done'; readonly heard: HeardCounts };

async function attack({ name, on, from, connections, durationMs }: AttackerPlan): Promise<void> {
  const heard = heardNothing();
  const wire = new Wire({ port: on.port, from, heard, signal: AbortSignal.timeout(durationMs) });
  await attackNamed(name).run({ wire, on, connections });
  process.send?.({ kind: 'done', heard } satisfies AttackerDone);
}

process.on('message', (plan: AttackerPlan) => void attack(plan));
process.once('disconnect', () => process.exit(0));

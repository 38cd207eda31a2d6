/** Draining in an origin's process: its file, its routes, and what it needs of the other parts. */

import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { DRAIN, type DrainState } from '../../core/contracts/drain.ts';
import { REPAIR } from '../../core/contracts/origin-repair.ts';
import { serve } from '../../platform/http/serve.ts';
import type { RoleContext } from '../../platform/lifecycle/role.ts';
import { replaceFile } from '../../platform/members/remembered.ts';
import { realClock } from '../../platform/net/clock.ts';
import type { Queue } from '../../platform/queue/queue.ts';
import type { BackendCopies } from '../cold/copies.ts';
import type { OriginConfig } from '../config.ts';
import type { Handover } from '../handover.ts';
import type { Repairing } from '../repair/open.ts';
import { healthPage } from '../repair/page.ts';
import type { Uploads } from '../uploads.ts';
import { Draining } from './draining.ts';

export type StartDrainingParts = {
  readonly repairing: Repairing;
  readonly origins: { drain(draining: boolean): void };
  readonly uploads: Uploads;
  readonly handover: Handover;
  readonly queue: Queue | undefined;
  readonly copies: BackendCopies | undefined;
};

/** Closed with the stack. Goes on where the process before was draining. */
export async function startDraining(
  { config, log }: Pick<RoleContext<OriginConfig>, 'config' | 'log'>,
  { repairing, origins, uploads, handover, queue, copies }: StartDrainingParts,
  stack: AsyncDisposableStack,
): Promise<Draining> {
  const file = join(config.data, 'draining');
  const owed = async (): Promise<number> =>
    ((await queue?.stats()) ?? []).reduce((sum, { waiting, dead }) => sum + waiting + dead, 0);
  const draining = stack.use(
    new Draining({
      file: {
        read: () => readFile(file).then(() => true, absent),
        write: (on) => (on ? replaceFile(file, 'yes\n') : rm(file, { force: true })),
      },
      ring: repairing.ring,
      tell: (on) => origins.drain(on),
      spares: repairing.spares,
      linked: repairing.linked,
      confirmed: async (digests, signal) => (await copies?.confirmed(digests, signal)) ?? [],
      uploads: () => uploads.count,
      came: () => handover.offered,
      handing: () => handover.waiting,
      owed,
      clock: realClock,
      log,
    }),
  );
  await draining.resume();
  return draining;
}

function absent(error: NodeJS.ErrnoException): false {
  if (error.code === 'ENOENT') return false;
  throw error;
}

/** `repair`: of the page that shows both. */
export function addDrainRoutes(app: FastifyInstance, draining: Draining, { repair, ring }: Repairing): void {
  serve(app, REPAIR.page, ({ reply }) =>
    reply.type('text/html; charset=utf-8').send(healthPage(ring.self, repair.state(), draining.state())),
  );
  serve(app, DRAIN.state, () => draining.state());
  serve(app, DRAIN.begin, async (): Promise<DrainState> => {
    await draining.begin();
    return draining.state();
  });
  serve(app, DRAIN.cancel, async (): Promise<DrainState> => {
    await draining.cancel();
    return draining.state();
  });
}

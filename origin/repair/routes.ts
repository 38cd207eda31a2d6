/** Repair over HTTP: what other origins ask of this one, and what an operator does (core/contracts/origin-repair.ts). */

import type { FastifyInstance } from 'fastify';
import { REPAIR } from '../../core/contracts/origin-repair.ts';
import { Sums } from '../../core/repair/sums.ts';
import { serve } from '../../platform/http/serve.ts';
import type { Repairing } from './open.ts';

/** Others ask all the time: at level info it would be all of the log. */
const quiet = { logLevel: 'warn' } as const;

export function addRepairRoutes(
  app: FastifyInstance,
  { repair, answers }: Pick<Repairing, 'repair' | 'answers'>,
): void {
  serve(
    app,
    REPAIR.sums,
    async ({ body }) => {
      const { peer, sums = new Sums() } = await answers.sums(body.place);
      return { peer, sums: Buffer.from(sums.bytes).toString('base64') };
    },
    quiet,
  );
  serve(
    app,
    REPAIR.shared,
    ({ body }) => answers.shared(body.place, Buffer.from(body.buckets, 'base64'), body.after),
    quiet,
  );
  serve(app, REPAIR.offer, async ({ body }) => ({ held: await answers.offered(body) }), quiet);
  serve(app, REPAIR.state, () => repair.state());
  serve(app, REPAIR.now, () => repair.now());
}

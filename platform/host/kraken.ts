/**
 * What Kraken's agents and origins answer under `/x/` (core/contracts/kraken/scheduler.ts): whom this node wants nothing of,
 * and the rates that its links keep to.
 *
 * Rule: what a caller sets holds until the process ends, and is in its log. A call that says nothing of the rates brings
 *       back those of the configuration.
 */

import type { FastifyInstance } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';
import { KRAKEN_HOST, type SchedulerSettings } from '../../core/contracts/kraken/scheduler.ts';
import { jsonOfAnyType } from '../http/any-json.ts';
import { serve } from '../http/serve.ts';
import type { PeerConfig } from '../peer/config.ts';
import { limitBytesPerSMin } from '../peer/limits.ts';
import type { PeerNode } from '../peer/node.ts';
import type { Logger } from '../telemetry/log.ts';

type Settings = { readonly limits: PeerConfig['limits']; readonly log: Logger };

const nsPerMs = 1_000_000;
const bitsPerByte = 8;

export function addKrakenHostRoutes(
  app: FastifyInstance,
  { guard, rates }: Pick<PeerNode, 'guard' | 'rates'>,
  { limits, log }: Settings,
): void {
  serve(app, KRAKEN_HOST.blacklist, () =>
    guard.list().map(({ node, leftMs }) => ({
      peer_id: node,
      info_hash: '',
      remaining: Math.round(leftMs * nsPerMs),
    })),
  );
  jsonOfAnyType(app, (scope) => {
    serve(scope, KRAKEN_HOST.scheduler, ({ body, reply }) => {
      const set = kept(body.conn === undefined ? limits : asked(body.conn.bandwidth));
      rates.set(set);
      log.warn({ bytesPerS: set }, 'the rates of links were set from outside, until this process ends');
      return reply.code(200).send();
    });
  });
}

type Rates = Settings['limits'];

function asked(of: NonNullable<SchedulerSettings['conn']>['bandwidth']): Rates {
  const { egress_bits_per_sec: up, ingress_bits_per_sec: down } = of;
  return { up: up && Math.floor(up / bitsPerByte), down: down && Math.floor(down / bitsPerByte) };
}

/** Throws REQUEST_INVALID. */
function kept(rates: Rates): Rates {
  for (const [name, rate] of Object.entries(rates))
    if (rate !== undefined && rate < limitBytesPerSMin) {
      const least = `${limitBytesPerSMin * bitsPerByte} bits a second, at which peers give up a link`;
      throw new ApiError('REQUEST_INVALID', `nothing was changed: the limit ${name} is less than ${least}`);
    }
  return rates;
}

/** The `swarm` part of an agent's or origin's configuration: what of the policy may be tuned. docs/tuning.md says what each costs. */

import * as z from 'zod';
import { degreeSlack, sourcesPerBlobMax } from '../../core/swarm/limits.ts';
import { defaultPolicy } from '../../core/swarm/policy.ts';
import type { PolicyConfig } from '../../core/swarm/types.ts';
import { duration, size } from '../config/units.ts';

const known = defaultPolicy;
const mebibyte = 2 ** 20;
const degreeMost = sourcesPerBlobMax - degreeSlack;
/** Links of one host; each costs both ends buffers of the kernel. */
const linksMost = 1_024;
/** On the wire at once to and from one host: more is only a longer queue. */
const windowMost = '1GiB';

const mib = (bytes: number): string => `${bytes / mebibyte}MiB`;

export const swarmShape = () =>
  z
    .strictObject({
      neighbours: z
        .strictObject({
          /** Of each blob. */
          perBlob: z.int().min(2).max(degreeMost).prefault(known.neighboursPerBlobMax),
          /** Of all blobs together. */
          perHost: z.int().min(2).max(linksMost).prefault(known.neighboursMax),
        })
        .prefault({})
        .refine(({ perBlob, perHost }) => perHost >= perBlob, {
          path: ['perHost'],
          message: 'a host has at least as many neighbours as one of its blobs: neighbours.perBlob',
        }),
      /** What may be on its way to this host: bytes, or pieces where these are long. */
      window: z
        .strictObject({
          bytes: size(mib(known.windowBytes), { min: '256KiB', max: windowMost }),
          pieces: z.int().min(2).max(4_096).prefault(known.windowPieces),
        })
        .prefault({}),
      grants: z
        .strictObject({
          /** Pieces that may be under way from this host at once, each counted by what its taker gets from others meanwhile. */
          underWay: z.number().min(0.5).max(64).prefault(known.uplinkTarget),
          /** One that is not answered by then is another's. */
          expire: duration(`${known.grantExpiryMs}ms`, { min: '50ms', max: '60s' }),
        })
        .prefault({}),
      /** Which pieces come first: the rarest of those ahead of a reader; so many bytes ahead of it. */
      readAhead: z
        .strictObject({
          min: size(mib(known.readWindowBytesMin), { min: '256KiB', max: '16GiB' }),
          max: size(mib(known.readWindowBytesMax), { min: '256KiB', max: '16GiB' }),
        })
        .prefault({})
        .refine(({ min, max }) => max >= min, { path: ['max'], message: 'is below readAhead.min' }),
      /** Pieces that a reader jumped to are asked for through neighbours. */
      wishes: z.boolean().prefault(known.wishes),
      /** A link on which something is owed, and nothing has moved for so long, is closed. */
      stall: duration(`${known.stallMs}ms`, { min: '500ms', max: '10m' }),
      /** At the end of a blob a late piece is asked of a second neighbour. */
      hedge: z
        .strictObject({
          after: duration(`${known.hedgeFloorMs}ms`, { min: '20ms', max: '60s' }),
          /** And later than so many times what that neighbour takes otherwise. */
          factor: z.number().min(1).max(100).prefault(known.hedgeFactor),
        })
        .prefault({}),
      /** Of a peer that sent a wrong piece or broke the protocol; twice as long each time. */
      bans: z
        .strictObject({
          first: duration(`${known.banMs}ms`, { min: '1s', max: '24h' }),
          most: duration(`${known.banMsMax}ms`, { min: '1s', max: '24h' }),
        })
        .prefault({})
        .refine(({ first, most }) => most >= first, { path: ['most'], message: 'is below bans.first' }),
    })
    .prefault({});

export type TunedSwarm = z.output<ReturnType<typeof swarmShape>>;

/** The policy of a swarm that is tuned so. */
export function tunedPolicy({
  neighbours,
  window,
  grants,
  readAhead,
  wishes,
  stall,
  hedge,
  bans,
}: TunedSwarm): PolicyConfig {
  const tuned = grants.underWay !== known.uplinkTarget;
  return {
    ...known,
    neighboursPerBlobMax: neighbours.perBlob,
    neighboursMax: neighbours.perHost,
    windowBytes: window.bytes,
    windowPieces: window.pieces,
    uplinkTarget: grants.underWay,
    uplinkTargetEnd: tuned ? grants.underWay : known.uplinkTargetEnd,
    grantExpiryMs: grants.expire,
    readWindowBytesMin: readAhead.min,
    readWindowBytesMax: readAhead.max,
    wishes,
    stallMs: stall,
    hedgeFloorMs: hedge.after,
    hedgeFactor: hedge.factor,
    banMs: bans.first,
    banMsMax: bans.most,
  };
}

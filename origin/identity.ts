/**
 * Who this origin is among the others, and who they are.
 *
 * Rule 1: its id lies in `DIR/id`, drawn once and synced before anybody is told: its blobs are its own wherever the
 *         directory is mounted, and whatever it is called there. It is never made anew beside blobs because it cannot be read.
 * Rule 2: which others it knew lies in `DIR/members`: a start while some of them are down moves nothing.
 */

import { randomBytes } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { type OriginIdentity, type ToldPlace, toldPlaces } from '../core/contracts/members.ts';
import { ORIGIN } from '../core/contracts/origin.ts';
import { parse } from '../core/contracts/parse.ts';
import type { OriginClient } from '../platform/clients/origin.ts';
import { hostPlaceIn } from '../platform/config/place.ts';
import { serve } from '../platform/http/serve.ts';
import { StartError } from '../platform/lifecycle/errors.ts';
import type { RoleContext } from '../platform/lifecycle/role.ts';
import type { Members } from '../platform/members/members.ts';
import type { Membership } from '../platform/members/membership.ts';
import type { Self } from '../platform/members/places.ts';
import { RememberedFile, replaceFile } from '../platform/members/remembered.ts';
import { sourceOf } from '../platform/members/source.ts';
import type { OriginConfig } from './config.ts';

const idHexDigits = 32;
const idPattern = /^[0-9a-f]{32}$/;

/** Of itself it knows everything. `draining` may change. */
export type OwnIdentity = Self & { readonly instance: string; readonly zone: string };

/** That of the data directory, which is ours; drawn and synced where it has none yet (`fresh`). Throws StartError. */
async function ownId(dir: string): Promise<{ readonly id: string; readonly fresh: boolean }> {
  const file = join(dir, 'id');
  const found = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new StartError(
      `${file}, this origin's identity, cannot be read (${error.code}): see to its disk and its owner`,
    );
  });
  if (found !== undefined) {
    if (idPattern.test(found.trim())) return { id: found.trim(), fresh: false };
    throw new StartError(
      `${file}, this origin's identity, is not 32 hex digits: restore it, or remove it to make this a new origin, to which its blobs are assigned anew`,
    );
  }
  const id = drawn();
  await replaceFile(file, `${id}\n`);
  const directory = await open(dir);
  await directory.sync().finally(() => directory.close());
  return { id, fresh: true };
}

/** `fresh`: it had no id before this start. */
export type Joined = { readonly origins: Members<OriginClient>; readonly self: OwnIdentity; readonly fresh: boolean };

/** The origins of the cluster, this one among them; the data directory is ours. Closed with the stack. */
export async function joinOrigins(
  { config, log }: Pick<RoleContext<OriginConfig>, 'config' | 'log'>,
  membership: Membership,
  stack: AsyncDisposableStack,
): Promise<Joined> {
  membership.ours();
  const { data, cluster, weight, origins: entries } = config;
  const [only, ...more] = entries;
  const alone = more.length === 0 && sourceOf(only ?? '')?.kind === 'url';
  const url = config.self ?? (alone ? only : undefined);
  const { id, fresh } = await ownId(data);
  const self: OwnIdentity = { id, instance: drawn(), weight, zone: hostPlaceIn(config), url };
  const remembered = stack.use(
    new RememberedFile({
      file: join(data, 'members'),
      what: 'members',
      usable: (found) => (found['cluster'] === cluster ? placesIn(found['members']) : undefined),
      log,
    }),
  );
  const origins = await membership.origins(entries, { self });
  origins.remember((await remembered.read()) ?? []);
  const note = (): void => remembered.write({ cluster, members: origins.known });
  stack.use(origins.onChange(note));
  note();
  return { origins, self, fresh };
}

function placesIn(found: unknown): readonly ToldPlace[] | undefined {
  const read = parse(toldPlaces, found, 'members');
  return read.ok ? read.value : undefined;
}

/** Others ask it all the time: at level info it would be all of the log. */
export function addIdentityRoute(
  app: FastifyInstance,
  { self, known }: { readonly self: OwnIdentity; readonly known: () => readonly ToldPlace[] },
): void {
  serve(
    app,
    ORIGIN.identity,
    ({ at }): OriginIdentity => {
      const { id, instance, weight, zone, draining } = self;
      return {
        ...{ id, instance, weight },
        ...(draining === true && { draining }),
        ...(zone !== '' && { zone }),
        ...(at.told === 1 && { members: known() }),
      };
    },
    { logLevel: 'warn' },
  );
}

function drawn(): string {
  return randomBytes(idHexDigits / 2).toString('hex');
}

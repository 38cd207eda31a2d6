/** The origins, as an index calls them: only where its configuration names them. */

import { OriginFinder } from '../platform/clients/finder.ts';
import type { OriginClient } from '../platform/clients/origin.ts';
import type { RoleContext } from '../platform/lifecycle/role.ts';
import type { MembersConfig } from '../platform/members/config.ts';
import type { Members } from '../platform/members/members.ts';
import { Membership } from '../platform/members/membership.ts';
import { realClock } from '../platform/net/clock.ts';

export type IndexOrigins = { readonly members: Members<OriginClient>; readonly finder: OriginFinder };

type Config = { readonly members: MembersConfig; readonly origins?: readonly string[] | undefined };

/** Undefined: none are named. */
export async function openOrigins(
  context: Pick<RoleContext<Config>, 'config' | 'log' | 'metrics' | 'secure'>,
  stack: AsyncDisposableStack,
): Promise<IndexOrigins | undefined> {
  const { origins } = context.config;
  if (origins === undefined) return undefined;
  const membership = stack.use(new Membership(context));
  const members = await membership.origins(origins);
  return { members, finder: new OriginFinder({ origins: members, clock: realClock }) };
}

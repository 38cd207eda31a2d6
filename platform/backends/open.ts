/** Where an origin and an index get their backends; one that has none loads nothing of them. */

import type { Env } from '../config/yaml.ts';
import type { OnlineProof } from '../lifecycle/proof.ts';
import type { RoleContext } from '../lifecycle/role.ts';
import { realClock } from '../net/clock.ts';
import type { Backends } from './backends.ts';
import type { BackendRule } from './config.ts';

/** undefined: the configuration names none. They are closed with the stack. */
export async function openBackends(
  { config, log, metrics, env }: RoleContext<{ readonly backends: readonly BackendRule[] }>,
  /** How many processes share limits of the cluster: the origins that live. */
  sharers: () => number,
  stack: AsyncDisposableStack,
): Promise<Backends | undefined> {
  if (config.backends.length === 0) return undefined;
  const { Backends } = await import('./backends.ts');
  return stack.use(await Backends.open(config.backends, { log, metrics, env, clock: realClock, sharers }));
}

/** For `--check --online`. */
export async function proveBackends(
  { backends }: { readonly backends: readonly BackendRule[] },
  env: Env,
): Promise<OnlineProof[]> {
  if (backends.length === 0) return [];
  const { proveAll } = await import('./prove.ts');
  return await proveAll(backends, env);
}

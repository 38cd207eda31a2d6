/** The audit log that a configuration names; nothing of it is loaded where it names none. */

import type { RoleContext } from '../lifecycle/role.ts';
import type { AuditConfig } from './config.ts';
import type { AuditLog } from './log.ts';

/** undefined: nothing is written down. It ends with the stack. */
export async function openAudit(
  config: AuditConfig | undefined,
  { log, metrics }: Pick<RoleContext<unknown>, 'log' | 'metrics'>,
  stack: AsyncDisposableStack,
): Promise<AuditLog | undefined> {
  if (config === undefined) return undefined;
  const { AuditLog: Log } = await import('./log.ts');
  return stack.use(await Log.open(config, { log, metrics }));
}

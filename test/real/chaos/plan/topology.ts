/** What a cluster of this test is made of: nodes by name, each a process on a host of its own. */

export const ROLES = ['origin', 'tracker', 'proxy', 'index', 'agent'] as const;
export type Role = (typeof ROLES)[number];

/** `no`: its host's, from 1. */
export type Node = { readonly name: string; readonly role: Role; readonly no: number };
export type Counts = Readonly<Record<Role, number>>;

/** The index may be one process, as nothing that it decides can be decided without it. */
export const whole: Counts = { origin: 3, tracker: 3, proxy: 2, index: 1, agent: 10 };

export function nodesOf(counts: Counts): Node[] {
  const names = ROLES.flatMap((role) =>
    Array.from({ length: counts[role] }, (_, n) => ({ role, name: `${role}-${n + 1}` })),
  );
  return names.map(({ role, name }, n) => ({ role, name, no: n + 1 }));
}

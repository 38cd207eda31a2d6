/** What members are made of, and how they are made. */

import type { OriginIdentity } from '../../core/contracts/members.ts';
import type { Pulse } from '../clients/pulse.ts';
import type { ChecksTiming } from './checks.ts';
import type { MemberList } from './list.ts';
import type { Self } from './places.ts';

export type Member = AsyncDisposable & {
  /** Whether it answers. */
  readonly pulse: Pick<Pulse, 'well' | 'silent' | 'doubt'>;
  /** Calls that have not ended. */
  readonly underWay: number;
};

/** What a check asks. `told`: the answer had better tell of the others too, for some of them are not known. */
export type MemberCheck = { readonly signal: AbortSignal; readonly told: boolean };

export type MembersOptions<M> = {
  readonly list: MemberList;
  /** `host`: the name that it is called by, where its URL is an address. */
  readonly connect: (url: string, host: string | undefined) => M;
  /** Which of them this process is: it owns keys as the others do, and calls nobody by that name. */
  readonly self?: Self | undefined;
  /** Whether one is there, and who it is; absent: found out by calls alone. */
  readonly check?: ((member: M, how: MemberCheck) => Promise<OriginIdentity | undefined>) | undefined;
  /** Their places on the ring are ids that they tell; else their URLs. */
  readonly ids?: boolean | undefined;
  /** Only those in use are checked. */
  readonly rarely?: boolean | undefined;
  readonly timing?: ChecksTiming | undefined;
  /** How long who left the list keeps its place. */
  readonly graceMs?: number | undefined;
};

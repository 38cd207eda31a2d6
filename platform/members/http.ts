/** Members that are called as they are: a client each, and no more. */

import { HttpClient } from '../clients/http.ts';
import type { HttpTransport } from '../net/http.ts';
import type { MemberList } from './list.ts';
import { Members } from './members.ts';
import type { MemberCheck, MembersOptions } from './types.ts';

export type HttpKnown = Pick<MembersOptions<HttpClient>, 'rarely' | 'timing'> & {
  /** Default: TCP. */
  readonly transport?: HttpTransport | undefined;
};

/** With a timing each is asked now and then whether it is there; without, that is found out by calls alone. */
export function httpMembers(list: MemberList, { transport, rarely, timing }: HttpKnown = {}): Members<HttpClient> {
  const check = async (member: HttpClient, { signal }: MemberCheck): Promise<undefined> =>
    void (await member.alive(signal));
  return new Members({
    ...{ list, rarely, timing, check: timing && check },
    connect: (base, host) => new HttpClient({ base, host, transport }),
  });
}

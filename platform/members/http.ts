/** Members that are called as they are: a client each, and no more. */

import { HttpClient } from '../clients/http.ts';
import type { HttpTransport } from '../net/http.ts';
import type { MemberList } from './list.ts';
import { Members } from './members.ts';

/** Default transport: TCP. */
export function httpMembers(list: MemberList, transport?: HttpTransport): Members<HttpClient> {
  return new Members({ list, connect: (base) => new HttpClient({ base, transport }) });
}

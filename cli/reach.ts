/** How commands reach components that ask for certificates: with one of the operator's own, of the directory SHOAL_TLS. */

import { StartError } from '../platform/lifecycle/errors.ts';
import type { HttpTransport } from '../platform/net/http.ts';

/** undefined: no directory is named, and components are called as they are. Throws StartError. */
export async function reachBy(dir: string | undefined): Promise<HttpTransport | undefined> {
  if (dir === undefined || dir === '') return undefined;
  const { operatorHttp } = await import('../platform/secure/operator.ts');
  try {
    return operatorHttp(dir);
  } catch (error) {
    throw new StartError(`SHOAL_TLS: ${(error as Error).message}`);
  }
}

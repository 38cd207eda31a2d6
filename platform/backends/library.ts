/**
 * A kind's library, loaded when a backend of that kind is opened: a process that has none of the kind neither loads it nor
 * needs it to be installed.
 *
 * Rule: only a package that is not there is told here. Whatever else goes wrong while it is loaded is thrown as it is.
 */

import { BackendError } from './backend.ts';

/** As Node says it of imports and of `require`; what begins with a dot or a slash is no package but a file of somebody's. */
const absent = /^Cannot find (?:package|module) '((?:@[\w.-]+\/)?[\w-][\w.-]*)(?=['/])/;

/**
 * What `load` gives: `import()` of the package `name`, or of our own file that imports it.
 * `backend`: as the configuration calls it.
 */
export async function library<Loaded>(
  name: string,
  load: () => Promise<Loaded>,
  backend?: string | undefined,
): Promise<Loaded> {
  try {
    return await load();
  } catch (error) {
    const missing = missingPackage(error);
    if (missing === undefined) throw error;
    const which = missing === name ? name : `${name}, and that needs ${missing}`;
    throw new BackendError(
      'unsupported',
      `${backend === undefined ? '' : `${backend}: `}it needs the package ${which}, which is not installed: install Shoal with all of its dependencies, or \`npm install ${missing}\` beside it`,
      { error },
    );
  }
}

function missingPackage(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as { code?: unknown };
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') return undefined;
  return absent.exec(error.message)?.[1];
}

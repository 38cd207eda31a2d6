/** What a rule may say of a container of Azure Blob Storage, and its defaults. No library is loaded by this. */

import * as z from 'zod';
import { baseUrl } from '../../config/units.ts';
import { keyPrefix, partsShape } from '../parts/config.ts';
import { connectionOf } from './connection-string.ts';

const text = z.string().min(1).max(4096);
/** As it is, or in a file that is read again when it is refused. */
const secret = z.union([text, z.strictObject({ file: text })], 'expected text, or file: PATH');

const credentials = z.union(
  [
    z.strictObject({ sharedKey: secret }),
    z.strictObject({ sas: secret }),
    z.strictObject({ connectionString: secret }),
  ],
  'expected sharedKey, sas or connectionString, each as text or with file: PATH',
);

export const azureSchema = z
  .strictObject({
    container: z
      .string()
      .regex(
        /^(\$root|[a-z0-9](-?[a-z0-9]){2,62})$/,
        'expected the name of a container: 3 to 63 of a-z, 0-9 and single hyphens',
      ),
    prefix: keyPrefix(),
    account: z
      .string()
      .regex(/^[a-z0-9]{3,24}$/, 'expected the name of a storage account: 3 to 24 of a-z and 0-9')
      .optional(),
    /** Unset: Azure's, of the account. An emulator has the account in its path. */
    endpoint: baseUrl().optional(),
    /** Unset: managed identity, workload identity, or what AZURE_CLIENT_SECRET says. */
    credentials: credentials.optional(),
    /** File of certificates (PEM) to be trusted beside the known ones. */
    ca: text.optional(),
    parts: partsShape(),
  })
  .superRefine(({ account, endpoint, credentials: said }, ctx) => {
    const wrong = (path: string[], message: string): void => ctx.addIssue({ code: 'custom', path, message });
    if (said !== undefined && 'connectionString' in said) {
      if (account !== undefined) wrong(['account'], 'is in the connectionString already: leave out one of the two');
      if (endpoint !== undefined) wrong(['endpoint'], 'is in the connectionString already: leave out one of the two');
      const problem = typeof said.connectionString === 'string' ? problemOf(said.connectionString) : undefined;
      if (problem !== undefined) wrong(['credentials', 'connectionString'], problem);
    } else if (account === undefined && (endpoint === undefined || (said !== undefined && 'sharedKey' in said))) {
      wrong(['account'], 'is needed: name the storage account');
    }
    if (said !== undefined && 'sharedKey' in said && typeof said.sharedKey === 'string' && !isBase64(said.sharedKey))
      wrong(['credentials', 'sharedKey'], 'expected a key of the account, in base64');
    if (said !== undefined && 'sas' in said && typeof said.sas === 'string' && !/(^|[?&])sig=/.test(said.sas))
      wrong(['credentials', 'sas'], 'expected a shared access signature: sv=…&sp=…&sig=…');
  });

export type AzureSettings = z.output<typeof azureSchema>;

function problemOf(connection: string): string | undefined {
  const found = connectionOf(connection);
  return typeof found === 'string' ? found : undefined;
}

function isBase64(key: string): boolean {
  return /^[A-Za-z0-9+/]+={0,2}$/.test(key) && key.length % 4 === 0;
}

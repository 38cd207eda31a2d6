/** What a rule may say of TLS to a server, whatever is spoken on top of it. */

import * as z from 'zod';

const file = z.string().min(1).max(2048);

export const webTls = {
  /** File of certificates (PEM) to be trusted beside the known ones. */
  ca: file.optional(),
  /** Files (PEM) of the certificate that we show, and of its key. */
  clientCertificate: z.strictObject({ certificate: file, key: file }).optional(),
};

export type WebTls = {
  readonly ca?: string | undefined;
  readonly clientCertificate?: { readonly certificate: string; readonly key: string } | undefined;
};

/** What a rule may say of a registry, and its defaults. No library is loaded by this. */

import * as z from 'zod';
import { repositoryValid } from '../../../core/oci/name.ts';
import { size } from '../../config/units.ts';
import { webTls } from '../web/config.ts';
import { patternsOutside } from './namespace.ts';

const text = z.string().min(1).max(4096);
const name = z
  .string()
  .refine((given) => given === '' || repositoryValid(given), "expected (the beginning of) a repository's name, or ''")
  .prefault('');
const url = z.url({ protocol: /^https?$/, error: 'expected a URL' }).optional();

const ecr = z.strictObject({
  region: z.string().regex(/^[a-z0-9-]{1,64}$/, 'expected a region such as eu-central-1'),
  /** Unset: that of the account. */
  registryId: z
    .string()
    .regex(/^\d{12}$/, "expected an account's 12 digits, in quotes")
    .optional(),
  /** Of `~/.aws`; unset: environment, web identity, container's or machine's role, in AWS's order. */
  profile: text.optional(),
  endpoint: url,
});
const google = z.strictObject({
  /** Of a service account; unset: as Google's own tools find them, the metadata server among them. */
  keyFile: text.optional(),
});
const azure = z.strictObject({
  /** Of a managed identity; unset: environment, workload identity, machine's identity, in Azure's order. */
  clientId: text.optional(),
  tenant: text.optional(),
  audience: text.prefault('https://containerregistry.azure.net/.default'),
});

const credentials = z.union(
  [
    z.strictObject({ username: text, password: text }),
    /** Read again when it was refused. */
    z.strictObject({ username: text, passwordFile: text }),
    z.strictObject({ token: text }),
    z.strictObject({ dockerConfig: z.union([z.literal(true), text]) }),
    z.strictObject({ ecr }),
    z.strictObject({ google }),
    z.strictObject({ azure }),
  ],
  'expected one of { username, password }, { username, passwordFile }, { token }, { dockerConfig: true or a file }, { ecr: { region } }, { google: {} }, { azure: {} }',
);

export const registrySchema = z.strictObject({
  address: z
    .string()
    .max(260)
    .regex(
      /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)(:\d{1,5})?$/,
      'expected a host, or host:port, without a scheme (http is `plainHttp: true`) and without a path (that is `namespace`)',
    )
    .transform((given) => (/^(index\.)?docker\.io$/.test(given) ? 'registry-1.docker.io' : given)),
  /** http, not https. */
  plainHttp: z.boolean().prefault(false),
  ...webTls,
  /** What begins with `from` here begins with `to` there. */
  namespace: z.strictObject({ from: name, to: name }).prefault({}),
  /** Unset: none; nothing is looked for. */
  credentials: credentials.optional(),
  /** Of an upload: what goes in one request. Unset: all of it. For proxies that take no large body. */
  chunk: size(undefined, { min: '5MiB', max: '5GiB', why: 'as some registries keep each as a part of S3' }).optional(),
});

export type RegistrySettings = z.output<typeof registrySchema>;
export type CredentialsSaid = RegistrySettings['credentials'];

/** What of a rule's repositories cannot be found there. */
export function registryProblems({ namespace }: RegistrySettings, patterns: readonly string[]): readonly string[] {
  return patternsOutside(namespace, patterns).map(
    (pattern) =>
      `${pattern} has repositories that do not begin with ${namespace.from}/, the \`namespace.from\` of this rule's registry: say \`repositories: ${namespace.from}/**\``,
  );
}

/** The kinds of backends that a rule may name: one line each. */

import * as z from 'zod';
import { azureSchema } from './azure/config.ts';
import { fileKind } from './file/kind.ts';
import { gcsSchema } from './gcs/config.ts';
import { hdfsKind } from './hdfs/kind.ts';
import { httpSchema } from './http/config.ts';
import { templateLayout } from './http/template.ts';
import { identityLinks } from './identity.ts';
import { type BackendKind, kind } from './kind.ts';
import { library } from './library.ts';
import { registryProblems, registrySchema } from './registry/config.ts';
import { registryKeys } from './registry/layout.ts';
import { s3Schema } from './s3/config.ts';
import { shadowKind } from './shadow/kind.ts';
import { sqlSchema } from './sql/config.ts';
import { testfsKind } from './testfs/kind.ts';

const single: Readonly<Record<string, BackendKind>> = {
  memory: kind(z.strictObject({}), async (_, { name }) => new (await import('./memory.ts')).MemoryBackend(name)),
  file: fileKind,
  hdfs: hdfsKind,
  testfs: testfsKind,
  noop: kind(z.strictObject({}), async (_, { name }) => new (await import('./noop.ts')).NoopBackend(name), 'all', {
    paths: false,
  }),
  s3: kind(s3Schema, async (settings, opening) => {
    const { S3Backend } = await library('@aws-sdk/client-s3', () => import('./s3/s3.ts'), opening.name);
    return new S3Backend(settings, opening);
  }),
  http: kind(
    httpSchema,
    async (settings, opening) => new (await import('./http/http.ts')).HttpBackend(settings, opening),
    'blobs',
    { layout: ({ download }) => templateLayout(download), readOnly: true },
  ),
  gcs: kind(gcsSchema, async (settings, opening) => {
    const { GcsBackend } = await library('google-auth-library', () => import('./gcs/gcs.ts'), opening.name);
    return new GcsBackend(settings, opening);
  }),
  registry: kind(
    registrySchema,
    async (settings, opening) => new (await import('./registry/registry.ts')).RegistryBackend(settings, opening),
    'all',
    { layout: () => registryKeys, problems: registryProblems },
  ),
  sql: kind(
    sqlSchema,
    async (settings, opening) => (await import('./sql/open.ts')).openSql(settings, opening),
    'tags',
    { layout: () => ({ links: identityLinks }) },
  ),
  azure: kind(azureSchema, async (settings, opening) => {
    const { AzureBackend } = await library('@azure/identity', () => import('./azure/azure.ts'), opening.name);
    return new AzureBackend(settings, opening);
  }),
};

export const kinds: Readonly<Record<string, BackendKind>> = { ...single, shadow: shadowKind(single) };

/** Of a name that a configuration was allowed. */
export function kindNamed(name: string): BackendKind {
  return kinds[name] as BackendKind;
}

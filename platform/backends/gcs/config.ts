/** What a rule may say of a bucket of Google Cloud Storage, and its defaults. No library is loaded by this. */

import * as z from 'zod';
import { baseUrl } from '../../config/units.ts';
import { keyPrefix, partsShape } from '../parts/config.ts';

const text = z.string().min(1).max(2048);

export const gcsSchema = z.strictObject({
  bucket: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/, 'expected the name of a bucket, without gs:// and without a path'),
  prefix: keyPrefix(),
  /** Unset: Google's. */
  endpoint: baseUrl('https://storage.googleapis.com'),
  /**
   * A file: the key of a service account, or a configuration of workload identity federation. anonymous: without any.
   * Unset: application default credentials (GOOGLE_APPLICATION_CREDENTIALS, gcloud's own, the metadata server).
   */
  credentials: z
    .union([z.strictObject({ file: text }), z.literal('anonymous')], "expected file: PATH, or 'anonymous'")
    .optional(),
  /** The project that pays, of a bucket that makes its readers pay. */
  userProject: z
    .string()
    .regex(/^[a-z0-9:.-]{1,64}$/, 'expected the name of a project')
    .optional(),
  /** File of certificates (PEM) to be trusted beside the known ones. */
  ca: text.optional(),
  parts: partsShape(),
});

export type GcsSettings = z.output<typeof gcsSchema>;

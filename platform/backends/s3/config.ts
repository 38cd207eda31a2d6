/** What a rule may say of an S3 bucket, and its defaults. No SDK is loaded by this. */

import * as z from 'zod';
import { baseUrl, duration } from '../../config/units.ts';
import { keyPrefix, partsShape } from '../parts/config.ts';

const text = z.string().min(1).max(2048);

/** Fixed keys; or a file in the format of `~/.aws/credentials`, read again when its keys are refused; or a profile. */
const credentials = z.union(
  [
    z.strictObject({ accessKeyId: text, secretAccessKey: text, sessionToken: text.optional() }),
    z.strictObject({ file: text, profile: text.prefault('default') }),
    z.strictObject({ profile: text }),
  ],
  'expected accessKeyId and secretAccessKey, or file (with profile), or profile',
);

/** Encryption by the server: by keys of its own, or of its key service. */
const encryption = z.union(
  [z.literal('s3'), z.strictObject({ kms: text, bucketKey: z.boolean().prefault(true) })],
  "expected 's3', or kms: KEY_ID",
);

export const s3Schema = z.strictObject({
  bucket: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{1,254}$/, 'expected the name of a bucket, or the ARN of an access point'),
  /** Before every key, and a slash between. */
  prefix: keyPrefix(),
  /** Unset: that of the environment or profile; with an `endpoint`, us-east-1. */
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,64}$/, 'expected a region such as eu-central-1')
    .optional(),
  /** Unset: that of AWS for the region. */
  endpoint: baseUrl().optional(),
  /** The bucket in the path and not in the host's name. Unset: so where there is an `endpoint`. */
  pathStyle: z.boolean().optional(),
  /** Unset: environment, profile, web identity, container's or machine's role, in AWS's order. */
  credentials: credentials.optional(),
  /** File of certificates (PEM) to be trusted beside the known ones. */
  ca: text.optional(),
  encryption: encryption.optional(),
  storageClass: z
    .string()
    .regex(/^[A-Z0-9_]{1,64}$/, 'expected a class such as STANDARD_IA')
    .optional(),
  /** What the server is to check bytes by. auto: CRC-32 where it answers with it, else MD5. */
  checksums: z.enum(['auto', 'crc32', 'md5']).prefault('auto'),
  parts: partsShape(),
  /** Readers at a proxy are sent to the bucket by a signed URL. Unset: bytes go through the origins. */
  redirect: z
    .strictObject({
      /** Where readers reach the bucket. Unset: the rule's own. */
      endpoint: baseUrl().optional(),
      /** Unset: as the rule's, where `endpoint` is unset too; else so, as for an `endpoint` of a rule. */
      pathStyle: z.boolean().optional(),
      /** A URL may be used to begin a read for so long. S3 itself allows a week. */
      ttl: duration('5m', { min: '10s', max: '7d', why: 'as S3 signs for no longer than a week' }),
    })
    .optional(),
});

export type S3Settings = z.output<typeof s3Schema>;

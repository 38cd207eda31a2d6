/** Which images must be signed, as a proxy's and an agent's configuration says it: `verify.cosign` (docs/signatures.md). */

import * as z from 'zod';
import { repositoryPatternValid } from '../../core/oci/pattern.ts';
import { policiesMax, policyKeysMax } from '../../core/signatures/limits.ts';
import type { SignaturePolicy } from '../../core/signatures/policy.ts';

const patternsMax = 64;
/** An RSA key of 16,384 bits has 3 KB. */
const keyLengthMax = 16 * 1024;

const pattern = z
  .string()
  .refine(repositoryPatternValid, 'is no pattern of a repository: a name, `*` within a part of it, `**` for any');
const some = z.union([pattern.transform((one) => [one]), z.array(pattern).min(1).max(patternsMax)]);

const policy = z.strictObject({
  repositories: some,
  /** Public keys: files, or PEM. A signature by one of them is enough. Files are read again when they change. */
  keys: z.array(z.string().min(1).max(keyLengthMax)).min(1).max(policyKeysMax),
  /** push: a proxy sets a tag to what is signed only. pull: an agent gives what is signed only. */
  at: z
    .array(z.enum(['push', 'pull']))
    .min(1)
    .max(2)
    .prefault(['push', 'pull']),
  /** warn: what is not signed is let through, logged and counted. */
  mode: z.enum(['enforce', 'warn']).prefault('enforce'),
  /** Of which repository a signature must say that it is, where it names one: of the one that is asked, of any, or of these. */
  identity: z.union([z.enum(['repository', 'any']), z.array(pattern).min(1).max(patternsMax)]).prefault('repository'),
});

export const cosignShape = () => z.array(policy).max(policiesMax).prefault([]);

export type CosignRule = z.output<typeof policy>;

export type KeyedPolicy = SignaturePolicy & { readonly keys: readonly string[] };

/** Those that hold at `at`. */
export function policiesAt(rules: readonly CosignRule[], at: 'push' | 'pull'): readonly KeyedPolicy[] {
  return rules.flatMap(({ at: where, ...rule }, i) =>
    where.includes(at) ? [{ ...rule, name: `verify.cosign[${i}] (${rule.repositories.join(', ')})` }] : [],
  );
}

/** Throws StartError where a key cannot be used. */
export async function keysChecked({
  verify,
}: {
  readonly verify: { readonly cosign: readonly CosignRule[] };
}): Promise<void> {
  if (verify.cosign.length === 0) return;
  const { checkKeys } = await import('./keys.ts');
  checkKeys(verify.cosign);
}

/**
 * Which rule of `backends` a store in a bucket is in, and why it cannot be: asked of a configuration, before anything opens.
 *
 * Rule: the rule that the store is in is no backend of any repository, whatever patterns it has: the tags themselves are
 *   there. Others are, as with any store.
 */

import type { BackendRule } from '../../backends/config.ts';

type Rules = readonly Pick<BackendRule, 'name' | 'kind' | 'readOnly' | 'shared'>[];

/** Those that read an object with its version, and write it under a condition. Whether a server keeps to it, a start tries. */
const fit: readonly string[] = ['s3', 'gcs', 'azure', 'memory'];

/** `path` in the configuration. */
export function bucketProblems(
  backend: string,
  rules: Rules,
): readonly { readonly path: readonly (string | number)[]; readonly message: string }[] {
  const found = rules.find(({ name }) => name === backend);
  if (found === undefined) {
    const names = rules.length === 0 ? '`backends` has none' : `there are ${rules.map(({ name }) => name).join(', ')}`;
    return [{ path: ['store', 'backend'], message: `${backend} is not the name of a rule of \`backends\`: ${names}` }];
  }
  const why = !fit.includes(found.kind)
    ? `is of kind ${found.kind}, where writes have no conditions that an index could rest on: it is to be one of ${fit.join(', ')}`
    : found.readOnly
      ? 'is `readOnly`, and the index writes there'
      : found.shared === true
        ? 'is `shared`, and the index removes what it has made there: give it a bucket, or a prefix and a rule, of its own'
        : undefined;
  return why === undefined ? [] : [{ path: ['store', 'backend'], message: `the rule ${backend} ${why}` }];
}

/** Those that repositories have as backends. */
export function besideStore<R extends Pick<BackendRule, 'name'>>(
  rules: readonly R[],
  store: { readonly kind: string; readonly backend?: string },
): readonly R[] {
  return store.kind === 'bucket' ? rules.filter(({ name }) => name !== store.backend) : rules;
}

/**
 * Which rule of `backends` a store in a bucket is in, and why it cannot be: asked of a configuration, before anything opens.
 *
 * Rule: the bucket holds the tags themselves, and nothing is written back beside them yet (outbox.ts): an index whose store
 *   is a bucket has that one rule, and no other.
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
  const others = rules.flatMap(({ name }, i) =>
    name === backend
      ? []
      : [
          {
            path: ['backends', i],
            message: `tags are not written to ${name} beside a store that is a bucket, in this release: leave the rule out here (origins keep it), or take another kind of \`store\``,
          },
        ],
  );
  const why = !fit.includes(found.kind)
    ? `is of kind ${found.kind}, where writes have no conditions that an index could rest on: it is to be one of ${fit.join(', ')}`
    : found.readOnly
      ? 'is `readOnly`, and the index writes there'
      : found.shared === true
        ? 'is `shared`, and the index removes what it has made there: give it a bucket, or a prefix and a rule, of its own'
        : undefined;
  return why === undefined
    ? others
    : [{ path: ['store', 'backend'], message: `the rule ${backend} ${why}` }, ...others];
}

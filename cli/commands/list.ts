/** `shoal ls` and `shoal rm`: what the cluster holds, by name; and taking it out. */

import { ApiError } from '../../core/contracts/errors.ts';
import type { FindLogin } from '../../platform/clients/registry/login.ts';
import { blobRepository, parseRepository, parseTarget } from '../../platform/clients/registry/ref.ts';
import { Registry } from '../../platform/clients/registry/registry.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';

export type ListOptions = {
  readonly proxy: string;
  readonly signal: AbortSignal;
  /** Where the registry asks who somebody is. Default: nobody. */
  readonly login?: FindLogin | undefined;
};

/** Every repository, or every tag of one as `repository:tag`. */
export async function* listCommand(named: string | undefined, options: ListOptions): AsyncGenerator<string> {
  const repo = named === undefined ? undefined : parseRepository(named);
  await using registry = new Registry(options.proxy, options.login);
  for await (const name of registry.names(repo === undefined ? 'repositories' : { repo }, options.signal)) {
    yield repo === undefined ? name : `${repo}:${name}`;
  }
}

/** Removes a tag, a manifest (`repository@digest`) or a blob of `repo`. The line that tells which. */
export async function removeCommand(what: string, named: string | undefined, options: ListOptions): Promise<string> {
  const target = parseTarget(what);
  await using registry = new Registry(options.proxy, options.login);
  if (target.kind === 'blob') {
    const repo = parseRepository(named ?? blobRepository);
    await registry.delete(repo, 'blobs', target.digest, options.signal);
    return `removed blob ${target.digest} from ${repo}`;
  }
  const { repo, tag, reference } = target;
  // For docker the digest counts, which would take every other tag of it away as well.
  if (tag !== undefined)
    throw new StartError(
      `name one: ${repo}:${tag} removes the tag, ${repo}@${reference} the manifest with all its tags`,
    );
  try {
    await registry.delete(target.repo, 'manifests', target.reference, options.signal);
  } catch (error) {
    const blob = target.reference.includes(':') && error instanceof ApiError && error.code === 'MANIFEST_UNKNOWN';
    if (!blob) throw error;
    await registry.delete(target.repo, 'blobs', target.reference, options.signal);
  }
  return `removed ${target.repo}${target.reference.includes(':') ? '@' : ':'}${target.reference}`;
}

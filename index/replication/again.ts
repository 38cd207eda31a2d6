/**
 * A tag that somebody asks to have sent (Kraken's `?replicate=true` and `POST /remotes/tags`), though rules have sent it
 * already: to the remotes that they name for it.
 *
 * Rule: what is asked for is kept where a write's is, in the outbox. What waits there is tried now; where nothing does, and
 *   the remote has another manifest under that tag, the tag is written anew.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import { type ReplicationRule, ruleFor, tagMatches } from '../../core/replicate/rules.ts';
import { BackendError } from '../../platform/backends/backend.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import { newer } from '../../platform/tags/versions.ts';
import type { Following } from './api.ts';

/** A remote that says nothing for so long is left to another attempt of whoever asks. */
const lookMsMax = 5_000;

export type AgainParts = {
  readonly rules: readonly ReplicationRule[];
  /** By the name of the remote. */
  readonly remotes: ReadonlyMap<string, Pick<Following, 'remote' | 'target' | 'lane'>>;
  readonly store: Pick<TagStore, 'tag' | 'putTag' | 'retry' | 'pending'>;
};

/** Resolves once all of it waits, or is there. Throws UNAVAILABLE where a remote does not say what it has. */
export async function sendAgain(parts: AgainParts, repo: string, tag: string): Promise<void> {
  const { rules, remotes, store } = parts;
  let lacking = false;
  for (const [name, { remote, target, lane }] of remotes) {
    const rule = ruleFor(rules, repo, name);
    if (rule === undefined || !tagMatches(rule.tags, tag)) continue;
    const key = { target, repo, kind: 'tag', name: tag } as const;
    if ((await store.pending(key)) === undefined) lacking ||= await lacks(parts.store, remote, repo, tag);
    else if ((await store.retry(key)) > 0) lane.kick();
  }
  const here = lacking ? await store.tag(repo, tag) : undefined;
  // Whoever writes it meanwhile has it sent.
  if (here !== undefined) await store.putTag(repo, tag, { digest: here.digest, after: here.version });
}

async function lacks(
  store: AgainParts['store'],
  remote: Following['remote'],
  repo: string,
  tag: string,
): Promise<boolean> {
  try {
    const there = await remote.tags.tag(repo, tag, AbortSignal.timeout(lookMsMax));
    const here = await store.tag(repo, tag);
    if (here === undefined || there === undefined) return here !== undefined;
    const later = there.version !== undefined && here.version !== undefined && newer(there.version, here.version);
    return there.digest !== here.digest && !later;
  } catch (error) {
    const late = error instanceof Error && error.name === 'TimeoutError';
    if (!late && !(error instanceof BackendError)) throw error;
    const why = late ? `it does not answer within ${lookMsMax / 1000} s` : error.message;
    throw new ApiError('UNAVAILABLE', `whether remote ${remote.name} has ${repo}:${tag} is not known: ${why}`);
  }
}

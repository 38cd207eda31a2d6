/**
 * What users may do with repositories.
 *
 * Rule 1: a rule grants; nothing takes away. What no rule grants, nobody may.
 * Rule 2: what is granted to whoever does not say who he is, users have as well.
 * Rule 3: a request needs what it reads as much as what it writes: a mount is a pull there and a push here.
 */

import { repositoryMatches } from '../oci/pattern.ts';
import type { OciRequest } from '../oci/request.ts';

export const ACTIONS = ['pull', 'push', 'delete'] as const;
export type Action = (typeof ACTIONS)[number];

/** Who asks. Without a name it is whoever did not say who he is. */
export type Subject = { readonly name?: string | undefined; readonly groups: readonly string[] };

export const ANONYMOUS: Subject = { groups: [] };

export type AccessRule = {
  /** Patterns (core/oci/pattern.ts). */
  readonly repositories: readonly string[];
  /** `anonymous`: anybody; `users`: whoever has a name; `user:NAME`, `group:NAME`. */
  readonly who: readonly string[];
  readonly may: readonly Action[];
};

/** What is to be granted before a request is done. Without `repo`: of whatever is then left out of the answer. */
export type Need = { readonly repo?: string; readonly action: Action };

/** Whether some rule grants it. */
export function may(rules: readonly AccessRule[], subject: Subject, repo: string, action: Action): boolean {
  return rules.some(
    (rule) => rule.may.includes(action) && isOf(rule, subject) && repositoryMatches(rule.repositories, repo),
  );
}

/** Whether some rule grants something somewhere. */
export function mayAnything(rules: readonly AccessRule[], subject: Subject): boolean {
  return rules.some((rule) => rule.may.length > 0 && isOf(rule, subject));
}

function isOf({ who }: AccessRule, { name, groups }: Subject): boolean {
  if (who.includes('anonymous')) return true;
  if (name === undefined) return false;
  return (
    who.includes('users') || who.includes(`user:${name}`) || groups.some((group) => who.includes(`group:${group}`))
  );
}

export function needs(request: OciRequest): readonly Need[] {
  switch (request.kind) {
    case 'ping':
      return [];
    case 'catalog':
      return [{ action: 'pull' }];
    case 'tags':
    case 'referrers':
    case 'manifestRead':
    case 'blobRead':
      return [{ repo: request.repo, action: 'pull' }];
    case 'manifestDelete':
    case 'blobDelete':
      return [{ repo: request.repo, action: 'delete' }];
    case 'uploadBegin':
      return [
        { repo: request.repo, action: 'push' },
        ...(request.mount === undefined ? [] : [{ repo: request.mount.from, action: 'pull' } as const]),
      ];
    case 'manifestPut':
    case 'uploadStatus':
    case 'uploadAppend':
    case 'uploadCommit':
    case 'uploadCancel':
      return [{ repo: request.repo, action: 'push' }];
  }
}

/** The same request without the mount: its client gets an upload, as of a mount that cannot be. */
export function withoutMount(request: OciRequest): OciRequest {
  return request.kind === 'uploadBegin' ? { ...request, mount: undefined } : request;
}

/**
 * What a token is for, as Docker's token flow writes it: `repository:library/app:pull,push`, `registry:catalog:*`.
 *
 * Rule 1: what is granted is what was asked for and is somebody's right. Less than was asked is no error: the request that
 *         needs more is refused later, and says what it lacks.
 * Rule 2: what cannot be read is asked for by nobody.
 */

import { repositoryValid } from '../oci/name.ts';
import { ACTIONS, type AccessRule, type Action, may, mayAnything, type Need, type Subject } from './rights.ts';

/** What one token says of one thing. */
export type ScopeAccess = { readonly type: string; readonly name: string; readonly actions: readonly string[] };

/** A client that copies an image names each repository that a layer may be mounted from. */
export const scopesMax = 100;

const catalog = 'catalog';
const all = '*';

/** Of each `scope` parameter of a request: several may stand in one, with spaces between them. */
export function scopesIn(texts: readonly string[]): ScopeAccess[] {
  return texts
    .flatMap((text) => text.split(' '))
    .filter((text) => text !== '')
    .slice(0, scopesMax)
    .flatMap(scopeIn);
}

/** None, or one. The name may have colons, as `host:port/name` has. */
function scopeIn(text: string): ScopeAccess[] {
  const [first, last] = [text.indexOf(':'), text.lastIndexOf(':')];
  if (first < 1 || last <= first) return [];
  // A class may stand behind the type: `repository(plugin)`.
  const type = text.slice(0, first).replace(/\([^)]*\)$/, '');
  const name = text.slice(first + 1, last);
  const actions = text.slice(last + 1).split(',');
  const known = type === 'repository' ? repositoryValid(name) : type === 'registry' && name === catalog;
  return known ? [{ type, name, actions }] : [];
}

/** What of it the subject has a right to. */
export function grantedOf(
  scopes: readonly ScopeAccess[],
  rules: readonly AccessRule[],
  subject: Subject,
): ScopeAccess[] {
  return scopes.flatMap(({ type, name, actions }): ScopeAccess[] => {
    if (type === 'registry') return mayAnything(rules, subject) ? [{ type, name, actions: [all] }] : [];
    const wanted = actions.includes(all) ? ACTIONS : ACTIONS.filter((action) => actions.includes(action));
    const granted = wanted.filter((action) => may(rules, subject, name, action));
    return granted.length === 0 ? [] : [{ type, name, actions: granted }];
  });
}

/** Whether a token that says so is for that. */
export function covers(granted: readonly ScopeAccess[], { repo, action }: Need): boolean {
  return granted.some(({ type, name, actions }) =>
    repo === undefined
      ? type === 'registry' && name === catalog && actions.includes(all)
      : type === 'repository' && name === repo && actions.includes(action),
  );
}

/** What to ask for, to have all of these. */
export function scopeText(wanted: readonly Need[]): string {
  const byRepo = new Map<string | undefined, Set<Action>>();
  for (const { repo, action } of wanted) byRepo.set(repo, (byRepo.get(repo) ?? new Set()).add(action));
  return Array.from(byRepo, ([repo, actions]) =>
    repo === undefined ? `registry:${catalog}:${all}` : `repository:${repo}:${[...actions].join(',')}`,
  ).join(' ');
}

/** As an answer of OAuth says what was granted. */
export function grantedText(granted: readonly ScopeAccess[]): string {
  return granted.map(({ type, name, actions }) => `${type}:${name}:${actions.join(',')}`).join(' ');
}

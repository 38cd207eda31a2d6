/**
 * Which keys tokens are signed with, and which still count.
 *
 * Rule 1: a new key signs once everybody has had time to hear of it; the one before counts until what it signed is over.
 * Rule 2: where older keys are to be forgotten, they are at once: that is for keys that somebody else has got.
 */

import type { AccessKeys, PublicKeyJwk, SigningKey } from './documents.ts';

/** Followers hear of a change within seconds; one that is slow asks for a key that it does not know, and waits. */
export const keyHeardMs = 30_000;
/** The longest token, the widest leeway, and an upload that goes on after both. */
export const keyCountsMs = (1 + 1) * 3_600_000 + 600_000;
/** Of what gets other tokens, at proxies alone. */
export const refreshCountsMs = 25 * 86_400_000;

/** `d` is absent of a key that proxies have in a file: those that sign with it are told apart nowhere. */
export type KeyToAdd = Omit<SigningKey, 'fromMs'>;

/** With another key; those that count for nothing any more are gone. */
export function withKey(
  before: AccessKeys | undefined,
  added: KeyToAdd,
  { generation, forget, nowMs }: { readonly generation: number; readonly forget: boolean; readonly nowMs: number },
): AccessKeys {
  const kept = forget || before === undefined ? [] : before.keys.filter(({ kid }) => kid !== added.kid);
  const fromMs = kept.length === 0 ? nowMs : nowMs + keyHeardMs;
  return { generation, keys: counting([...kept, { ...added, fromMs }], nowMs, refreshCountsMs) };
}

/** The one to sign with; undefined: there is none whose other half is here. */
export function signingKey({ keys }: AccessKeys, nowMs: number): SigningKey | undefined {
  const own = keys.filter(({ d }) => d !== undefined);
  return own.findLast(({ fromMs }) => fromMs <= nowMs) ?? own[0];
}

/** For agents: without the halves that sign. */
export function publicKeys({ keys }: AccessKeys, nowMs: number): PublicKeyJwk[] {
  return counting(keys, nowMs, keyCountsMs).map(({ kty, crv, x, y, kid }) => ({ kty, crv, x, y, kid }));
}

/** A key counts for so long after the next one began. */
function counting(keys: readonly SigningKey[], nowMs: number, afterMs: number): SigningKey[] {
  const sorted = keys.toSorted((a, b) => a.fromMs - b.fromMs);
  return sorted.filter((_, i) => {
    const next = sorted[i + 1];
    return next === undefined || nowMs < next.fromMs + afterMs;
  });
}

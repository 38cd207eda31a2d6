/**
 * What stands before a manifest of a repository that has a policy: it is signed, or it does not pass. Loaded only where there
 * are policies.
 *
 * Rule 1: nothing is found out twice at once, and only so much at once. What many wait for ends by a time limit of its own.
 * Rule 2: who cannot be asked makes no image unsigned: what is remembered holds, else the answer is 503.
 * Rule 3: keys are looked at again when their files change; what was found out by those from before counts no more.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { manifestBytesMax } from '../../core/oci/limits.ts';
import { parseManifest } from '../../core/oci/manifest.ts';
import { MANIFEST_TYPES } from '../../core/oci/media.ts';
import { policyFor } from '../../core/signatures/policy.ts';
import type { CallContext } from '../clients/context.ts';
import type { Time } from '../net/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { AtOnce, unlessAborted } from './at-once.ts';
import type { SignatureSource } from './candidates.ts';
import type { KeyedPolicy } from './config.ts';
import { type Judged, judge, type PolicyTrust, type SignedVerdict } from './judge.ts';
import { KeyRing } from './key-ring.ts';
import { RememberedVerdicts } from './remembered.ts';

/** A dozen small reads, of which the index may need its two seconds. */
const judgeMs = 10_000;
/** Manifests that are looked at at once: each may hold 4 MiB. */
const atOnceMax = 32;

export type GateOptions = {
  readonly policies: readonly KeyedPolicy[];
  readonly source: SignatureSource;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Time;
  /** What whoever is refused should do. */
  readonly remedy: string;
};

export type ManifestPassing = Judged & {
  /** What it is asked for by, or is to have; absent: its digest. */
  readonly tags?: readonly string[] | undefined;
  /** That of an index has its children pass with it. */
  readonly mediaType?: string | undefined;
};

type Said = { readonly verdict: SignedVerdict; readonly result: 'signed' | 'remembered' | 'covered' };
type Wrong = { readonly result: 'missing' | 'wrong'; readonly why: readonly string[] };

export class SignatureGate {
  readonly #options: GateOptions;
  readonly #ring: KeyRing;
  readonly #remembered: RememberedVerdicts;
  readonly #running = new Map<string, Promise<SignedVerdict>>();
  readonly #slots = new AtOnce(atOnceMax);
  readonly #count;

  /** Throws StartError where a key cannot be used. */
  constructor(options: GateOptions) {
    const { policies, metrics, clock } = options;
    this.#options = options;
    this.#ring = new KeyRing(policies, options);
    this.#remembered = new RememberedVerdicts(() => clock.nowMs());
    this.#count = metrics.counter(
      'signature_checks_total',
      'Manifests that had to be signed, by what was found and by the mode of the policy',
      ['result', 'mode'],
    );
  }

  /** Whether manifests of the repository have to be signed at all. */
  concerns(repo: string): boolean {
    return policyFor(this.#options.policies, repo) !== undefined;
  }

  /** Throws DENIED where it has to be signed and is not, UNAVAILABLE where that cannot be known. */
  async heed(passing: ManifestPassing, call: CallContext): Promise<void> {
    const policy = policyFor(this.#options.policies, passing.repo);
    if (policy === undefined) return;
    if (this.#ring.renewed()) this.#remembered.forget();
    const trust = this.#ring.trust(policy);
    let refusal: ApiError;
    let told = false;
    try {
      const { verdict, result } = await this.#said(passing, trust, call);
      const wrong = wrongWith(verdict, passing);
      this.#count.inc({ result: wrong?.result ?? result, mode: policy.mode });
      if (wrong === undefined) return;
      refusal = this.#refusal(passing, trust, wrong);
      told = result === 'remembered';
    } catch (error) {
      call.signal.throwIfAborted();
      if (!unanswered(error)) throw error;
      this.#count.inc({ result: 'unavailable', mode: policy.mode });
      refusal = new ApiError(
        'UNAVAILABLE',
        `whether ${nameOf(passing)} is signed, as ${policy.name} asks, cannot be known now: ${error.message}`,
      );
    }
    if (policy.mode === 'enforce') throw refusal;
    if (!told)
      this.#options.log.warn({ ...call.ids, why: refusal.message }, 'let through, since the policy only warns');
  }

  /** Its own, or that of an index which has it. */
  async #said(passing: ManifestPassing, trust: PolicyTrust, call: CallContext): Promise<Said> {
    const { repo, digest } = passing;
    const own = this.#remembered.find(repo, digest);
    if (own?.fresh === true && own.verdict.signed) return { verdict: own.verdict, result: 'remembered' };
    for (const parent of this.#remembered.parents(repo, digest)) {
      const { verdict } = await this.#own({ repo, digest: parent }, trust, call);
      if (verdict.signed) return { verdict, result: 'covered' };
    }
    return await this.#own(passing, trust, call);
  }

  async #own(passing: ManifestPassing, trust: PolicyTrust, call: CallContext): Promise<Said> {
    const { repo, digest } = passing;
    const known = this.#remembered.find(repo, digest);
    if (known?.fresh === true) return { verdict: known.verdict, result: 'remembered' };
    try {
      return { verdict: await this.#together(passing, trust, call), result: 'signed' };
    } catch (error) {
      if (known?.verdict.signed !== true || !unanswered(error) || call.signal.aborted) throw error;
      return { verdict: known.verdict, result: 'remembered' };
    }
  }

  #together(passing: ManifestPassing, trust: PolicyTrust, call: CallContext): Promise<SignedVerdict> {
    const { repo, digest } = passing;
    const key = `${repo}@${digest}`;
    let running = this.#running.get(key);
    if (running === undefined) {
      running = this.#slots
        .run(() => this.#found(passing, trust, call.detached()))
        .finally(() => this.#running.delete(key));
      this.#running.set(key, running);
    }
    return unlessAborted(running, call.signal);
  }

  async #found(passing: ManifestPassing, trust: PolicyTrust, detached: CallContext): Promise<SignedVerdict> {
    const { repo, digest } = passing;
    using call = detached.within(judgeMs);
    const verdict = await judge(this.#options.source, trust, passing, call);
    const children = verdict.signed ? await this.#childrenOf(passing, call) : [];
    // Keys may have changed meanwhile.
    if (this.#ring.trust(trust.policy as KeyedPolicy) !== trust) return verdict;
    this.#remembered.keep(repo, digest, verdict);
    this.#remembered.keepChildren(repo, digest, children);
    if (!verdict.signed)
      this.#options.log.warn(
        { ...call.ids, repo, digest, policy: trust.policy.name, why: verdict.why },
        'not signed as a policy asks',
      );
    return verdict;
  }

  async #childrenOf(
    { repo, digest, mediaType, bytes }: ManifestPassing,
    call: CallContext,
  ): Promise<readonly Digest[]> {
    if (mediaType === undefined || MANIFEST_TYPES.get(mediaType) !== 'index') return [];
    const whole = bytes ?? (await this.#options.source.bytes({ digest, repo }, manifestBytesMax, call));
    return whole === undefined ? [] : parseManifest(whole, mediaType).manifests.map((child) => child.digest);
  }

  #refusal(passing: ManifestPassing, { policy, keys }: PolicyTrust, { why }: Wrong): ApiError {
    const names = keys.map(({ name }) => name).join(', ');
    const found = why.length === 0 ? 'no signature was found' : why.join('; ');
    const message = `${nameOf(passing)} is not signed as ${policy.name} asks, by one of ${names}: ${found}. ${this.#options.remedy}`;
    return new ApiError('DENIED', message, { policy: policy.name, keys: keys.map(({ name }) => name), why });
  }
}

function wrongWith(verdict: SignedVerdict, { tags = [] }: ManifestPassing): Wrong | undefined {
  if (!verdict.signed) return { result: verdict.reason, why: verdict.why };
  const { tags: only } = verdict;
  const others = only === undefined ? [] : tags.filter((tag) => !only.has(tag));
  if (others.length === 0 || only === undefined) return undefined;
  return {
    result: 'wrong',
    why: [`it is signed for the tag ${[...only].join(', ')} only, not for ${others.join(', ')}`],
  };
}

function nameOf({ repo, digest }: ManifestPassing): string {
  return `${repo}@${digest}`;
}

function unanswered(error: unknown): error is ApiError {
  return error instanceof ApiError && error.code === 'UNAVAILABLE';
}

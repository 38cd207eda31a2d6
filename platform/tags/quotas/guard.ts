/**
 * Looks, within a write's own transaction and before the write, whether it goes beyond a quota: for engines that answer at
 * once. What it adds is what is not there yet: a push of what is there adds nothing.
 */

import type { BlobLinkPut } from '../../../core/contracts/index-api.ts';
import type { RoomAsked } from '../../../core/contracts/quota/routes.ts';
import type { Digest } from '../../../core/digest.ts';
import { noUse, type QuotaRule, quotasFor, type Use } from '../../../core/quota.ts';
import type { ManifestWrite, TagTables } from '../store.ts';
import { heedQuota } from './exceeded.ts';
import type { UsedNow } from './used.ts';

type GuardedReads = Pick<TagTables, 'blob' | 'manifest' | 'tagState'>;
export type GuardedWrites = Pick<TagTables, 'putManifest' | 'putTag' | 'linkBlob' | 'mount'>;

export class QuotaGuard {
  readonly #rules: readonly QuotaRule[];
  readonly #used: UsedNow;

  constructor(rules: readonly QuotaRule[], used: UsedNow) {
    this.#rules = rules;
    this.#used = used;
  }

  blob(tables: GuardedReads, repo: string, digest: Digest, { size }: Pick<BlobLinkPut, 'size'>): void {
    this.#heed(repo, () => ({ ...noUse, bytes: size - (tables.blob(repo, digest)?.size ?? 0) }));
  }

  room(tables: GuardedReads, { repo, digest, size }: RoomAsked): void {
    if (digest !== undefined) return this.blob(tables, repo, digest, { size });
    this.#heed(repo, () => ({ ...noUse, bytes: size }));
  }

  mount(tables: GuardedReads, repo: string, digest: Digest, from: string): void {
    const link = tables.blob(from, digest);
    if (link !== undefined) this.blob(tables, repo, digest, link);
  }

  tag(tables: GuardedReads, repo: string, tag: string): void {
    this.#heed(repo, () => ({ ...noUse, tags: newTags(tables, repo, [tag]) }));
  }

  manifest(tables: GuardedReads, repo: string, digest: Digest, { size, tags }: ManifestWrite): void {
    this.#heed(repo, () => {
      const there = tables.manifest(repo, digest);
      const bytes = size - (there?.size ?? 0);
      return { bytes, tags: newTags(tables, repo, tags), manifests: there === undefined ? 1 : 0 };
    });
  }

  #heed(repo: string, addsOf: () => Use): void {
    const rules = quotasFor(this.#rules, repo);
    if (rules.length === 0) return;
    const adds = addsOf();
    for (const rule of rules) {
      const used = rule.each === 'repository' ? this.#used.of(repo) : this.#used.sum(rule.repositories);
      heedQuota(rule, repo, { used, adds });
    }
  }
}

/** The writes that may add something, each of which heeds `guard`. */
export function heedingQuotas(tables: TagTables, guard: QuotaGuard | undefined): GuardedWrites {
  return {
    putManifest(...args) {
      guard?.manifest(tables, args[0], args[1], args[2]);
      return tables.putManifest(...args);
    },
    putTag(...args) {
      guard?.tag(tables, args[0], args[1]);
      return tables.putTag(...args);
    },
    linkBlob(...args) {
      guard?.blob(tables, ...args);
      return tables.linkBlob(...args);
    },
    mount(...args) {
      guard?.mount(tables, ...args);
      return tables.mount(...args);
    },
  };
}

function newTags(tables: GuardedReads, repo: string, tags: readonly string[]): number {
  return [...new Set(tags)].filter((tag) => tables.tagState(repo, tag).digest === undefined).length;
}

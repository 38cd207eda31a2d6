/**
 * Quotas in PostgreSQL, looked at within a write's own transaction, which has the lock, and before the write: as
 * platform/tags/quotas/guard.ts. What it adds is what is not there yet.
 */

import type { BlobLink, BlobLinkPut, TagPut } from '../../../core/contracts/index-api.ts';
import type { RoomAsked } from '../../../core/contracts/quota/routes.ts';
import type { Digest } from '../../../core/digest.ts';
import { repositoryExpression } from '../../../core/oci/pattern.ts';
import { noUse, type QuotaRule, quotasFor, type Use } from '../../../core/quota.ts';
import { heedQuota } from '../quotas/exceeded.ts';
import type { ManifestOutcome, ManifestWrite } from '../store.ts';
import type { TagOutcome } from '../versions.ts';
import type { Tx } from './numbers.ts';
import { type Querying, statements } from './server/statements.ts';
import type { PostgresWrites } from './writes.ts';

const SQL = statements('quotas', {
  of: 'SELECT u.bytes, u.tags, u.manifests FROM repos r JOIN used u ON u.repo = r.id WHERE r.name = $1',
  sum: `SELECT coalesce(sum(u.bytes), 0)::bigint AS bytes, coalesce(sum(u.tags), 0)::bigint AS tags,
      coalesce(sum(u.manifests), 0)::bigint AS manifests
    FROM repos r JOIN used u ON u.repo = r.id WHERE r.name ~ ANY ($1::text[])`,
  blob: 'SELECT b.size FROM repos r JOIN blobs b ON b.repo = r.id WHERE r.name = $1 AND b.digest = $2',
  manifest: 'SELECT m.size FROM repos r JOIN manifests m ON m.repo = r.id WHERE r.name = $1 AND m.digest = $2',
  tags: `SELECT count(*)::int AS n FROM repos r JOIN tags t ON t.repo = r.id WHERE r.name = $1 AND t.tag = ANY ($2::text[])`,
});

type Writes = Pick<PostgresWrites, 'putManifest' | 'putTag' | 'linkBlob' | 'mount'>;

export class PostgresQuotas {
  readonly #rules: readonly QuotaRule[];
  readonly #writes: Writes;

  constructor(rules: readonly QuotaRule[], writes: Writes) {
    this.#rules = rules;
    this.#writes = writes;
  }

  async putManifest(
    tx: Tx,
    ...[repo, digest, put, nowMs]: [string, Digest, ManifestWrite, number]
  ): Promise<ManifestOutcome> {
    const { asking } = tx;
    await this.#heed(asking, repo, async () => {
      const [there] = await asking.all<{ size: number }>(SQL.manifest, repo, digest);
      const bytes = put.size - (there?.size ?? 0);
      return { bytes, tags: await newTags(asking, repo, put.tags), manifests: there === undefined ? 1 : 0 };
    });
    return await this.#writes.putManifest(tx, repo, digest, put, nowMs);
  }

  async putTag(tx: Tx, ...[repo, tag, put]: [string, string, TagPut]): Promise<TagOutcome | undefined> {
    const { asking } = tx;
    await this.#heed(asking, repo, async () => ({ ...noUse, tags: await newTags(asking, repo, [tag]) }));
    return await this.#writes.putTag(tx, repo, tag, put);
  }

  async linkBlob(tx: Tx, ...[repo, digest, put]: [string, Digest, BlobLinkPut]): Promise<number | undefined> {
    const { asking } = tx;
    await this.#heed(asking, repo, async () => {
      return { ...noUse, bytes: put.size - (await sizeIn(asking, repo, digest)) };
    });
    return await this.#writes.linkBlob(tx, repo, digest, put);
  }

  /** Between two writes: nothing is locked. */
  async room(asking: Querying, { repo, digest, size }: RoomAsked): Promise<void> {
    await this.#heed(asking, repo, async () => {
      return { ...noUse, bytes: size - (digest === undefined ? 0 : await sizeIn(asking, repo, digest)) };
    });
  }

  async mount(tx: Tx, ...[repo, digest, from]: [string, Digest, string]): Promise<BlobLink | undefined> {
    const { asking } = tx;
    await this.#heed(asking, repo, async () => {
      const size = await sizeIn(asking, from, digest);
      return { ...noUse, bytes: size - (await sizeIn(asking, repo, digest)) };
    });
    return await this.#writes.mount(tx, repo, digest, from);
  }

  async #heed(asking: Querying, repo: string, addsOf: () => Promise<Use>): Promise<void> {
    const rules = quotasFor(this.#rules, repo);
    if (rules.length === 0) return;
    const adds = await addsOf();
    for (const rule of rules) {
      const [used = noUse] =
        rule.each === 'repository'
          ? await asking.all<Use>(SQL.of, repo)
          : await asking.all<Use>(SQL.sum, rule.repositories.map(repositoryExpression));
      heedQuota(rule, repo, { used, adds });
    }
  }
}

async function sizeIn(asking: Querying, repo: string, digest: Digest): Promise<number> {
  return (await asking.all<{ size: number }>(SQL.blob, repo, digest))[0]?.size ?? 0;
}

async function newTags(asking: Querying, repo: string, tags: readonly string[]): Promise<number> {
  const all = [...new Set(tags)];
  if (all.length === 0) return 0;
  const [there] = await asking.all<{ n: number }>(SQL.tags, repo, all);
  return all.length - (there?.n ?? 0);
}

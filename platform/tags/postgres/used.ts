/** What each repository holds, counted by the database itself, in PostgreSQL (platform/tags/quotas/used.ts). */

import type { RepositoryUse } from '../../../core/quota.ts';
import type { UsedPage } from '../quotas/used.ts';
import type { PageOf } from '../store.ts';
import { type Querying, statements } from './server/statements.ts';

/** Triggers count, so that no way to write can forget to: of what is there already, and from now on. */
export const POSTGRES_USED = `
CREATE TABLE used (repo bigint PRIMARY KEY, bytes bigint NOT NULL, tags bigint NOT NULL, manifests bigint NOT NULL);
INSERT INTO used SELECT id,
  (SELECT coalesce(sum(size), 0) FROM blobs WHERE repo = id) + (SELECT coalesce(sum(size), 0) FROM manifests WHERE repo = id),
  (SELECT count(*) FROM tags WHERE repo = id), (SELECT count(*) FROM manifests WHERE repo = id) FROM repos;

CREATE FUNCTION used_repo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO used VALUES (NEW.id, 0, 0, 0); RETURN NULL; END $$;
CREATE TRIGGER used_repos AFTER INSERT ON repos FOR EACH ROW EXECUTE FUNCTION used_repo();

-- Of blobs and of manifests: how many a row counts as.
CREATE FUNCTION used_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    UPDATE used SET bytes = bytes + NEW.size, manifests = manifests + TG_ARGV[0]::int WHERE repo = NEW.repo;
  ELSIF TG_OP = 'DELETE' THEN
    UPDATE used SET bytes = bytes - OLD.size, manifests = manifests - TG_ARGV[0]::int WHERE repo = OLD.repo;
  ELSIF NEW.size <> OLD.size THEN
    UPDATE used SET bytes = bytes - OLD.size + NEW.size WHERE repo = NEW.repo;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER used_blobs AFTER INSERT OR DELETE OR UPDATE OF size ON blobs
  FOR EACH ROW EXECUTE FUNCTION used_bytes(0);
CREATE TRIGGER used_manifests AFTER INSERT OR DELETE OR UPDATE OF size ON manifests
  FOR EACH ROW EXECUTE FUNCTION used_bytes(1);

CREATE FUNCTION used_tag() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN UPDATE used SET tags = tags + 1 WHERE repo = NEW.repo;
  ELSE UPDATE used SET tags = tags - 1 WHERE repo = OLD.repo;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER used_tags AFTER INSERT OR DELETE ON tags FOR EACH ROW EXECUTE FUNCTION used_tag();
`;

const SQL = statements('used', {
  page: `SELECT r.name AS repo, u.bytes, u.tags, u.manifests FROM repos r JOIN used u ON u.repo = r.id WHERE r.name > $1
    ORDER BY r.name LIMIT $2`,
});

export async function usedPage(asking: Querying, { n, last }: PageOf): Promise<UsedPage> {
  const rows = await asking.all<RepositoryUse>(SQL.page, last ?? '', n + 1);
  return { repositories: rows.slice(0, n), more: rows.length > n };
}

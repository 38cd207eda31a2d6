/** What a change of a document says in the audit log: of blocks each digest, of the others that it was changed. */

import { type Block, blocksIn } from '../../core/contracts/documents/blocks.ts';
import type { DocumentName } from '../../core/contracts/documents/documents.ts';
import type { AuditEntry } from '../../platform/audit/entry.ts';

type Said = Pick<AuditEntry, 'what' | 'digest' | 'detail'>;

/** `before`, `after`: bodies; undefined: there was none. */
export function saidOfChanges(name: DocumentName, before: unknown, after: unknown): readonly Said[] {
  if (name === 'access') return [{ what: 'change access' }];
  if (name === 'access-key') return [{ what: 'make key' }];
  const [was, is] = [byDigest(before), byDigest(after)];
  const blocked = [...is.values()].filter(({ digest, reason }) => {
    const known = was.get(digest);
    return known === undefined || known.reason !== reason;
  });
  const unblocked = [...was.values()].filter(({ digest }) => !is.has(digest));
  return [
    ...blocked.map(({ digest, reason, by }): Said => ({ what: 'block', digest, detail: { reason, by } })),
    ...unblocked.map(({ digest, reason }): Said => ({ what: 'unblock', digest, detail: { reason } })),
  ];
}

function byDigest(body: unknown): ReadonlyMap<string, Block> {
  try {
    return new Map(blocksIn(body ?? undefined).map((block) => [block.digest, block]));
  } catch {
    // What nobody can read blocks nothing: the entry of its version says so.
    return new Map();
  }
}

/** Documents in memory. */

import type { DocumentName } from '../../../core/contracts/documents/documents.ts';
import type { DocumentTables, StoredDocument } from '../documents.ts';

export class MemoryDocuments implements DocumentTables {
  readonly #all = new Map<DocumentName, StoredDocument>();

  document(name: DocumentName): StoredDocument | undefined {
    return this.#all.get(name);
  }

  putDocument(name: DocumentName, document: StoredDocument, expected: number): boolean {
    if ((this.#all.get(name)?.version ?? 0) !== expected) return false;
    this.#all.set(name, document);
    return true;
  }
}

/** Documents in a bucket: a cell each. */

import type { DocumentName } from '../../../core/contracts/documents/documents.ts';
import type { DocumentStore, StoredDocument } from '../documents.ts';
import type { Cell, Cells } from './cells/cells.ts';
import { documentSaid } from './cells/values.ts';
import { documentAt } from './layout.ts';

export class BucketDocuments implements DocumentStore {
  readonly #cells: Cells;

  constructor(cells: Cells) {
    this.#cells = cells;
  }

  async document(name: DocumentName): Promise<StoredDocument | undefined> {
    const { live, value } = await this.#read(name);
    return live ? value : undefined;
  }

  async putDocument(name: DocumentName, document: StoredDocument, expected: number): Promise<boolean> {
    const cell = await this.#read(name);
    const version = cell.live ? (cell.value?.version ?? 0) : 0;
    if (version !== expected) return false;
    return (await this.#cells.write(cell, { live: true, value: document })) !== undefined;
  }

  #read(name: DocumentName): Promise<Cell<StoredDocument>> {
    return this.#cells.read(documentAt(name), documentSaid);
  }
}

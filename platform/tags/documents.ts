/**
 * What an engine keeps of documents (core/contracts/documents): each name has a text, which is JSON, and a version.
 *
 * Rule: one is written only by who has read the one before; of two at once, one finds it changed.
 */

import type { DocumentName } from '../../core/contracts/documents/documents.ts';

export type StoredDocument = { readonly version: number; readonly text: string };

export interface DocumentTables {
  document(name: DocumentName): StoredDocument | undefined;
  /** Where its version is `expected`; 0: where there is none. False: it is another one, and nothing changes. */
  putDocument(name: DocumentName, document: StoredDocument, expected: number): boolean;
}

export type DocumentStore = {
  [M in keyof DocumentTables]: (...args: Parameters<DocumentTables[M]>) => Promise<ReturnType<DocumentTables[M]>>;
};

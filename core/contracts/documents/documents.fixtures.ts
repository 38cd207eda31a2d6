/** A request and an answer of each document's routes. */

import { type AnyExample, example } from '../example.fixtures.ts';
import { DOCUMENTS, type DocumentName } from './documents.ts';

const of = (name: DocumentName): Readonly<Record<'read' | 'put', AnyExample>> => ({
  read: example(
    DOCUMENTS[name].read,
    { after: 7 },
    { reply: { version: 8, body: { any: ['thing', null, 1] }, againMs: 5 }, lenient: ['body', 'any'] },
  ),
  put: example(
    DOCUMENTS[name].put,
    {},
    { body: { expected: 7, body: { any: 'thing' } }, reply: { version: 8 }, lenient: ['body', 'any'] },
  ),
});

export const documentExamples = {
  documentAccess: of('access'),
  documentAccessKey: of('access-key'),
  documentAccessPublic: of('access-public'),
  documentBlocks: of('blocks'),
} as const;

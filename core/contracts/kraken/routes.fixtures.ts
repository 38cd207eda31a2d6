/** A request and an answer of every one of Kraken's routes that index and proxy have, for tests. */

import { testDigest } from '../../handout/fixtures.ts';
import { type AnyExample as Any, example } from '../example.fixtures.ts';
import { KRAKEN_INDEX } from './index.ts';

const digest = testDigest(1);
const tag = 'library/x/y:V1.0-x_y';
const page = { limit: 3, offset: 'library/x:1 &=%ä' };
const reply = { Links: { next: '/list/library?limit=1&offset=library%2Fx%3A1', self: '' }, size: 1, result: [tag] };

export const krakenIndexExamples: Readonly<Record<keyof typeof KRAKEN_INDEX, Any>> = {
  put: example(KRAKEN_INDEX.put, { tag, digest, replicate: true }),
  head: example(KRAKEN_INDEX.head, { tag }),
  get: example(KRAKEN_INDEX.get, { tag }),
  repository: example(KRAKEN_INDEX.repository, { repo: 'library/x', ...page }, { reply }),
  listAll: example(KRAKEN_INDEX.listAll, page, { reply }),
  list: example(KRAKEN_INDEX.list, { '*': 'library/x y/_manifests/tags', ...page }, { reply }),
  replicate: example(KRAKEN_INDEX.replicate, { tag }),
  origin: example(KRAKEN_INDEX.origin, {}),
  duplicatePut: example(KRAKEN_INDEX.duplicatePut, { tag, digest }),
  duplicateReplicate: example(KRAKEN_INDEX.duplicateReplicate, { tag, digest }),
};

/** A request and an answer of every one of Kraken's routes that index and proxy have, for tests. */

import { testDigest } from '../../handout/fixtures.ts';
import { type AnyExample as Any, example } from '../example.fixtures.ts';
import { KRAKEN_INDEX } from './index.ts';
import { KRAKEN_PROXY } from './proxy.ts';
import { KRAKEN_HOST } from './scheduler.ts';

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

const body = { tag: '127.0.0.1:15000/library/x:1', trace_id: 'ab' };
const answer = { tag: 'x:1', prefetched: true, status: 'success', message: 'begun', trace_id: 'ab' };
const target = { mediaType: 'application/vnd.oci.image.manifest.v1+json', repository: 'library/x', digest, tag: '1' };

export const krakenProxyExamples: Readonly<Record<keyof typeof KRAKEN_PROXY, Any>> = {
  notify: example(KRAKEN_PROXY.notify, {}, { body: { events: [{ action: 'push', target }] }, lenient: ['0'] }),
  prefetchV1: example(KRAKEN_PROXY.prefetchV1, {}, { body, reply: answer }),
  prefetchV2: example(KRAKEN_PROXY.prefetchV2, {}, { body, reply: answer }),
};

export const krakenHostExamples: Readonly<Record<keyof typeof KRAKEN_HOST, Any>> = {
  blacklist: example(
    KRAKEN_HOST.blacklist,
    {},
    { reply: [{ peer_id: '10.0.0.1:16001', info_hash: '', remaining: 5_000_000_000 }] },
  ),
  scheduler: example(
    KRAKEN_HOST.scheduler,
    {},
    // What is not said, or said to be nothing, leaves things as they are.
    { body: { conn: { bandwidth: { enable: true, egress_bits_per_sec: 8e8, ingress_bits_per_sec: 16e8 } } } },
  ),
};

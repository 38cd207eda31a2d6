/**
 * Beside the release before (commit 09915e1), whose requests and answers are written down here as it wrote them: what it
 * asks is read, what it answers is read, and what we ask it has nothing in it that it would refuse.
 */

import { describe, expect, test } from 'vitest';
import { AGENT, KRAKEN } from './agent.ts';
import { inDigest, inRepository, inTag } from './fields.ts';
import { INDEX, type TagVersion } from './index-api.ts';
import { ORIGIN } from './origin.ts';
import { PROBES } from './probes.ts';
import { type Route, route } from './route.ts';
import { EXAMPLES } from './routes.fixtures.ts';
import { TRACKER } from './tracker.ts';

type Any = Route<unknown, unknown, unknown>;
const digest = `sha256:${'1'.padStart(64, '0')}`;
const node = '1'.padStart(32, '0');
const meta = { length: 5, pieceLength: 262144, root: '5'.padStart(64, '0') };
const peer = { node, host: '10.0.0.1', port: 16001, role: 'origin', zone: '' };
const record = { digest, mediaType: 'm/x', size: 5 };

/** What a server of ours reads of a request. */
function read(routes: object, method: string, url: string, body?: unknown): unknown {
  const { pathname, searchParams } = new URL(url, 'http://x');
  const route = (Object.values(routes) as Any[]).find((one) => one.matches(method, pathname)) as Any;
  const params: Record<string, string> = {};
  for (const [i, part] of route.pattern.split('/').entries())
    if (part.startsWith(':')) params[part.slice(1)] = decodeURIComponent(pathname.split('/')[i] as string);
  return { at: route.at(params, Object.fromEntries(searchParams)), body: route.body(body) };
}

test.each([
  [TRACKER, 'POST', '/v1/announce', { self: peer, entries: [{ digest, state: 'want', seek: 8 }], held: 1 }],
  [TRACKER, 'POST', '/v1/announce', { self: peer, entries: [{ digest, state: 'have', seek: 0, meta }], reset: true }],
  [TRACKER, 'POST', '/v1/leave', { node }],
  [TRACKER, 'GET', `/v1/blobs/${digest}`],
  [ORIGIN, 'GET', `/v1/blobs/${digest}/info`],
  [ORIGIN, 'GET', `/v1/blobs/${digest}/info?proof=sample`],
  [ORIGIN, 'POST', '/v1/infos?proof=sample', { digests: [digest] }],
  [ORIGIN, 'POST', `/v1/blobs/${digest}/proof`],
  [ORIGIN, 'POST', `/v1/blobs/${digest}/fetch`, { from: peer, meta }],
  [ORIGIN, 'POST', '/v1/uploads/0123456789ab-0123456789abcdef', { algorithm: 'sha256' }],
  [ORIGIN, 'POST', '/v1/uploads/0123456789ab-0123456789abcdef'],
  [ORIGIN, 'PATCH', '/v1/uploads/0123456789ab-0123456789abcdef?offset=7'],
  [ORIGIN, 'PUT', `/v1/uploads/0123456789ab-0123456789abcdef?digest=${digest}`],
  [INDEX, 'GET', '/v1/repos/a%2Fb/tags/latest'],
  [INDEX, 'PUT', '/v1/repos/a%2Fb/tags/latest', { digest }],
  [INDEX, 'DELETE', '/v1/repos/a%2Fb/tags/latest'],
  [INDEX, 'GET', '/v1/repos/a%2Fb/tags?n=100&last=x'],
  [
    INDEX,
    'PUT',
    `/v1/repos/a%2Fb/manifests/${digest}`,
    { mediaType: 'm/x', size: 5, tags: ['1'], blobs: [digest], manifests: [], artifactType: 'a/b' },
  ],
  [INDEX, 'GET', `/v1/repos/a%2Fb/referrers/${digest}?n=100&artifactType=a%2Fb`],
  [INDEX, 'PUT', `/v1/repos/a%2Fb/blobs/${digest}`, { size: 9, proof: 3 }],
  [INDEX, 'POST', `/v1/repos/a%2Fb/blobs/${digest}/mount`, { from: 'c' }],
  [INDEX, 'GET', '/v1/catalog?n=100'],
  [INDEX, 'POST', '/v1/condemned', { digests: [digest] }],
  [AGENT, 'GET', '/v1/status'],
  [AGENT, 'GET', `/v1/blobs/${digest}/data`],
  [KRAKEN, 'GET', `/namespace/.*/blobs/${digest.slice(7)}`],
  [PROBES, 'GET', '/health'],
])('what it asks is read: %#', (routes, method, url, body?) => {
  expect(read(routes, method as string, url as string, body)).toMatchObject({ at: expect.any(Object) });
});

test.each([
  [TRACKER.announce, { leaseMs: 30_000, intervalMs: 10_000, answers: [{ digest, peers: [peer], meta }] }],
  [TRACKER.locate, { digest, meta, inline: 'aGVsbG8=' }],
  [ORIGIN.info, { digest, meta, peer }],
  [ORIGIN.infos, { infos: [{ digest, meta, peer }, null, { error: { code: 'UNAVAILABLE', message: 'x' } }] }],
  [ORIGIN.fetch, { state: 'fetching' }],
  [ORIGIN.upload, { id: '0123456789abcdef', offset: 5 }],
  [INDEX.tag, record],
  [INDEX.putTag, undefined],
  [INDEX.putManifest, undefined],
  [INDEX.deleteTag, undefined],
  [INDEX.tags, { tags: ['1'], more: false }],
  [INDEX.referrers, { manifests: [record] }],
  [INDEX.condemn, { index: node, condemned: [], waiting: 0 }],
])('what it answers is read: %#', (route, answer) => {
  expect((route as Any).reply(answer, 'x')).toEqual(answer);
});

/** Bodies that it reads with nothing else in them; of all others it drops what it does not know. */
const CLOSED: Readonly<Record<string, readonly string[]>> = {
  'index putTag': ['digest'],
  'index putManifest': [
    ...['mediaType', 'size', 'tags', 'blobs', 'manifests'],
    ...['subject', 'artifactType', 'annotations', 'proof'],
  ],
  'index linkBlob': ['size', 'proof'],
  'index mount': ['from'],
  'index condemn': ['digests'],
  'origin infos': ['digests'],
  'origin begin': ['algorithm'],
};
/** It must refuse a write whose condition it does not know, rather than make it: that is a body it reads so, or no path. */
const CONDITION = 'after';
/** Nobody of ours asks by Kraken's paths; of the others it has none, and says so. */
const NEW = new Set([
  ...['kraken', 'krakenHost', 'krakenProxy'],
  ...['documentAccess', 'documentAccessKey', 'documentAccessPublic', 'documentBlocks'],
  ...['members', 'krakenIndex', 'krakenOrigin', 'originAdmin', 'repair', 'drain', 'queue', 'indexGc', 'originGc'],
]);
/** Of a query it reads what it knows. */
const ADDED = ['repo', 'growing', 'cold', 'hops', 'told', 'write', 'again', 'pin'];

describe('what we ask', () => {
  const all = Object.entries(EXAMPLES).flatMap(([api, examples]) =>
    Object.entries(NEW.has(api) ? {} : examples).map(([name, one]) => [`${api} ${name}`, one] as const),
  );

  test.each(all)('%s: nothing that it would refuse', (name, { route, at, body }) => {
    const known = CLOSED[name];
    const keys = Object.keys((body ?? {}) as object).filter((key) => key !== CONDITION);
    if (known !== undefined) expect(known).toEqual(expect.arrayContaining(keys));
    const { searchParams } = new URL(route.path(at), 'http://x');
    const queries = ['proof', 'offset', 'digest', 'n', 'last', 'artifactType', ...ADDED];
    expect(queries).toEqual(expect.arrayContaining([...searchParams.keys()]));
  });

  test('a condition is where an older index refuses it', () => {
    const conditional = all.filter(([, { body }]) => Object.hasOwn((body ?? {}) as object, CONDITION));
    expect(conditional.map(([name]) => name)).toEqual(['index putTag', 'index putManifest']);
    for (const [name] of conditional) expect(CLOSED[name]).not.toContain(CONDITION);
  });

  test('a write that was made elsewhere is where an older index refuses it; it has no condition, and is of one tag', () => {
    const as = `5-${node}`;
    const tag = '/v1/repos/a%2Fb/tags/1';
    const manifest = { mediaType: 'm/x', size: 5, tags: ['1'], blobs: [], manifests: [], as };
    const put = (body: object) => read(INDEX, 'PUT', tag, body);
    const putManifest = (body: object) => read(INDEX, 'PUT', `/v1/repos/a%2Fb/manifests/${digest}`, body);
    for (const name of ['index putTag', 'index putManifest']) expect(CLOSED[name]).not.toContain('as');
    expect([put({ digest, as }), putManifest(manifest)]).toMatchObject([{ body: { as } }, { body: { as } }]);
    for (const wrong of [
      { digest, as, after: as },
      { digest, as, after: null },
      { digest, as: 5 },
      { digest, as: '5' },
    ])
      expect(() => put(wrong)).toThrow();
    for (const tags of [[], ['1', '2']]) expect(() => putManifest({ ...manifest, tags })).toThrow();
    const path = INDEX.deleteTagAs.path({ name: 'a/b', tag: '1', version: as as TagVersion });
    for (const known of [INDEX.deleteTag, INDEX.deleteTagAt]) expect(known.matches('DELETE', path)).toBe(false);
    expect(read(INDEX, 'DELETE', path)).toMatchObject({ at: { version: as } });
  });

  test('the repository is where an older server takes no notice of it: a query, or a record that drops it', () => {
    const where = all
      .filter(([, { at, body }]) => JSON.stringify([at, body]).includes('"repo":'))
      .map(([name]) => name);
    expect(where).toEqual([
      ...['tracker announce', 'tracker locate', 'origin read', 'origin head', 'origin prove', 'origin writeBack'],
      ...['origin info', 'origin infos', 'origin commit'],
    ]);
    expect(CLOSED).not.toHaveProperty('tracker announce');
  });

  test('the name of a write is where an older index takes no notice of it', () => {
    const name = '0f'.repeat(16);
    for (const [key, body] of [
      ['putTag', { digest }],
      ['deleteTag'],
      ['deleteManifest'],
      ['unlinkBlob'],
      ['putManifest', { mediaType: 'm/x', size: 5, tags: ['1'], blobs: [], manifests: [] }],
    ] as const) {
      const { method, path, pattern } = INDEX[key] as Any;
      const at = { name: 'a/b', tag: '1', digest };
      expect(path({ ...at, write: name, again: true })).toBe(`${path(at)}?write=${name}&again=true`);
      // As it is read by a server that knows none of the two, and by one of ours that is given none.
      const old = route(method, pattern, { params: { name: inRepository, tag: inTag, digest: inDigest } });
      expect(old.at({ name: 'a/b', tag: '1', digest }, { write: name, again: 'true' })).not.toHaveProperty('write');
      expect(read(INDEX, method, path(at), body)).toMatchObject({ at: expect.not.objectContaining({ write: name }) });
      expect(read(INDEX, method, path({ ...at, write: name }), body)).toMatchObject({ at: { write: name } });
    }
  });

  test('that a caller takes blobs that grow is said where an older server takes no notice of it', () => {
    const where = all
      .filter(([, { at, body }]) => /"(growing|known)":/.test(JSON.stringify([at, body])))
      .map(([name]) => name);
    expect(where).toEqual(['tracker announce', 'tracker locate', 'origin info', 'origin infos']);
    expect(CLOSED).not.toHaveProperty('tracker announce');
  });
});

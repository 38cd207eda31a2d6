/**
 * Kraken's paths of a build-index (core/contracts/kraken/index.ts), over the same store as everything else of the index.
 *
 * Rule 1: a tag that is put here is what one that a proxy puts is: set in one transaction, seen by the next read, written
 *   back and replicated by the same rules, with `replicate=true` and without. A tag that is there is moved, where Kraken says 200 and leaves it.
 * Rule 2: where the store cannot be asked it is 503; Kraken says 404 then, and a push goes on as if there were no such tag.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';
import { krakenTag } from '../../core/contracts/kraken/fields.ts';
import { KRAKEN_INDEX, type KrakenList } from '../../core/contracts/kraken/index.ts';
import type { Digest } from '../../core/digest.ts';
import { callOf } from '../../platform/http/call.ts';
import { serve } from '../../platform/http/serve.ts';
import { errorBody } from '../../platform/http/server.ts';
import type { TagReads, TagStore, TagWrites } from '../../platform/tags/store.ts';
import type { SingleReads } from '../herd.ts';
import type { KrakenSettings } from './config.ts';
import { type ListOf, listingPage, listNames, replyOf } from './list.ts';
import { KrakenPut } from './put.ts';

/** HTTP's status of what Kraken could not do, for whatever reason. */
const failed = 500;

type Store = Pick<TagStore, keyof TagReads | keyof TagWrites>;
type KrakenIndexSettings = {
  readonly allowMissingChildren: readonly string[];
  readonly nowMs: () => number;
  readonly reads?: SingleReads | undefined;
  readonly kraken?: KrakenSettings | undefined;
};
type InPut = { readonly tag: string; readonly digest: Digest };

export function krakenIndexRoutes(app: FastifyInstance, store: Store, settings: KrakenIndexSettings): void {
  const { reads = store, kraken = { tagTypes: [], held: undefined } } = settings;
  const { held, again } = kraken;
  const at = async (tag: string): Promise<Digest> => {
    const { repo, tag: name } = krakenTag(tag);
    const record = await reads.tag(repo, name);
    if (record === undefined) throw new ApiError('MANIFEST_UNKNOWN', `repository ${repo} has no tag ${name}`);
    return record.digest;
  };
  serve(app, KRAKEN_INDEX.get, async (asked) =>
    asked.reply.type('text/plain; charset=utf-8').send(await at(asked.at.tag)),
  );
  serve(app, KRAKEN_INDEX.head, async (asked) => {
    await at(asked.at.tag);
    return asked.reply.code(200).send();
  });
  const replicate = async (tag: string): Promise<void> => {
    await at(tag);
    const { repo, tag: name } = krakenTag(tag);
    await again?.(repo, name);
  };
  serve(app, KRAKEN_INDEX.replicate, async (asked) => {
    await replicate(asked.at.tag);
    return asked.reply.code(200).send();
  });
  // The neighbour whose task it was has queued it for all: here they have one queue.
  serve(app, KRAKEN_INDEX.duplicateReplicate, async (asked) => {
    await at(asked.at.tag);
    return asked.reply.code(200).send();
  });
  serve(app, KRAKEN_INDEX.origin, ({ reply }) => {
    const urls = held?.urls ?? [];
    const [url] = urls;
    if (url === undefined)
      throw new ApiError('UNSUPPORTED', 'this index knows no origins: name them (`origins:` of its configuration)');
    return reply.type('text/plain; charset=utf-8').send(new URL(url).host);
  });
  addPuts(app, new KrakenPut({ ...settings, ...kraken, store }));
  addLists(app, store);
}

function addPuts(app: FastifyInstance, puts: KrakenPut): void {
  const put = async ({ tag, digest }: InPut, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    try {
      await puts.put({ ...krakenTag(tag), digest }, callOf(request));
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'MANIFEST_BLOB_UNKNOWN') throw error;
      return reply.code(failed).send(errorBody(error));
    }
    return reply.code(200).send();
  };
  serve(app, KRAKEN_INDEX.put, ({ at, request, reply }) => put(at, request, reply));
  serve(app, KRAKEN_INDEX.duplicatePut, ({ at, request, reply }) => put(at, request, reply));
}

function addLists(app: FastifyInstance, store: Store): void {
  const list = async (prefix: string, of: ListOf, { url, query }: FastifyRequest): Promise<KrakenList> => {
    onlyPages(query);
    return replyOf(await listingPage(listNames(store, prefix, of.offset), of, url), 'name');
  };
  serve(app, KRAKEN_INDEX.listAll, ({ at, request }) => list('', at, request));
  serve(app, KRAKEN_INDEX.list, ({ at, request }) => list(at['*'], at, request));
  serve(app, KRAKEN_INDEX.repository, async ({ at, request: { url, query } }) => {
    onlyPages(query);
    return replyOf(await listingPage(listNames(store, `${at.repo}/_manifests/tags`, at.offset), at, url), 'tag');
  });
}

/** As Kraken, which says so of a key that it does not know. */
function onlyPages(query: unknown): void {
  const unknown = Object.keys(query as object).find((key) => key !== 'limit' && key !== 'offset');
  if (unknown !== undefined) throw new ApiError('REQUEST_INVALID', `${unknown.slice(0, 100)}= is not known here`);
}

/**
 * Documents of the index (core/contracts/documents), as methods.
 *
 * Rule 1: a question for the next version is kept open for long, which is no silence: where there are several indexes two
 *   of them are asked at once, so that one that hangs keeps nobody from what the others know. Else one after the other.
 * Rule 2: a change reads, changes, and writes at the version that was read, again until nobody came between.
 */

import { isDeepStrictEqual } from 'node:util';
import {
  DOCUMENTS,
  type DocumentName,
  type DocumentSaid,
  documentWaitMs,
} from '../../core/contracts/documents/documents.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Members } from '../members/members.ts';
import type { CallContext } from './context.ts';
import type { HttpClient } from './http.ts';
import { silenceMs } from './pulse.ts';

/** Beyond the time that the index keeps a question open. */
const lateMs = 5_000;
/** Changes that others came before. */
const changesMax = 20;

type Ask<T> = (client: HttpClient) => Promise<T>;

export class DocumentClient {
  readonly #members: Pick<Members<HttpClient>, 'all'>;

  constructor(members: Pick<Members<HttpClient>, 'all'>) {
    this.#members = members;
  }

  /** As it is now; version 0: there is none. */
  read(name: DocumentName, ctx: CallContext): Promise<DocumentSaid> {
    const { method, path, reply } = DOCUMENTS[name].read;
    return this.#each(async (client) =>
      reply(await client.json(method, path({}), { ctx, tries: 1, withinMs: silenceMs }), client.base),
    );
  }

  /** Once there is another version than `after`, or nothing has changed for documentWaitMs. */
  after(name: DocumentName, after: number, ctx: CallContext): Promise<DocumentSaid> {
    const { method, path, reply } = DOCUMENTS[name].read;
    return this.#anyOfTwo(
      async (client, call) =>
        reply(
          await client.json(method, path({ after }), { ctx: call, tries: 1, stallMs: documentWaitMs + lateMs }),
          client.base,
        ),
      ctx,
    );
  }

  /** The version that it has then; undefined: its version was not `expected`, and nothing has changed. */
  async put(name: DocumentName, body: unknown, expected: number, ctx: CallContext): Promise<number | undefined> {
    const { method, path, reply } = DOCUMENTS[name].put;
    try {
      const said = await this.#each(async (client) =>
        reply(
          await client.json(method, path({}), { body: { expected, body }, ctx, tries: 1, watched: true }),
          client.base,
        ),
      );
      return said.version;
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'DOCUMENT_CHANGED') throw error;
      // It may have been an index that we asked before, whose answer was lost.
      const now = await this.read(name, ctx);
      return isDeepStrictEqual(now.body, body) ? now.version : undefined;
    }
  }

  /**
   * `change` of what is there (undefined: nothing), until nobody came between; undefined from it: nothing is to be changed.
   * What came of it: the version, and whether anything has changed.
   */
  async change(
    name: DocumentName,
    change: (body: unknown) => unknown,
    ctx: CallContext,
  ): Promise<{ readonly version: number; readonly changed: boolean }> {
    for (let times = 0; times < changesMax; times++) {
      const { version: expected, body } = await this.read(name, ctx);
      const next = change(body);
      if (next === undefined) return { version: expected, changed: false };
      const version = await this.put(name, next, expected, ctx);
      if (version !== undefined) return { version, changed: true };
    }
    throw new ApiError('UNAVAILABLE', `document ${name} is changed by others all the time: try again`);
  }

  /** Those that do not answer last; the others in any order, so that none has all the questions. */
  #order(): HttpClient[] {
    const rank = ({ pulse }: HttpClient): number => (pulse.well ? 0 : 1) + Math.random();
    const ranked = this.#members.all.map((client) => ({ client, at: rank(client) }));
    return ranked.sort((one, two) => one.at - two.at).map(({ client }) => client);
  }

  /** The first answer. */
  async #anyOfTwo<T>(ask: (client: HttpClient, ctx: CallContext) => Promise<T>, ctx: CallContext): Promise<T> {
    const two = this.#order().slice(0, 2);
    if (two.length === 0) throw new ApiError('UNAVAILABLE', 'there is no index');
    const done = new AbortController();
    try {
      return await Promise.any(two.map((client) => ask(client, ctx.withSignal(done.signal))));
    } catch (error) {
      throw error instanceof AggregateError ? error.errors[0] : error;
    } finally {
      done.abort(new Error('the other index has answered'));
    }
  }

  async #each<T>(ask: Ask<T>): Promise<T> {
    let last: unknown = new ApiError('UNAVAILABLE', 'there is no index');
    for (const client of this.#order()) {
      try {
        return await ask(client);
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 'UNAVAILABLE') throw error;
        last = error;
      }
    }
    throw last;
  }
}

/**
 * Kraken's paths of a proxy that bring images to the origins (core/contracts/kraken/proxy.ts).
 *
 * Rule 1: what was answered 200 before it is done goes on in the background, `runningMax` images at a time: beyond that 429,
 *         and whoever notifies tells again.
 * Rule 2: where somebody is asked who he is, he is to have the right to pull what he names.
 * Rule 3: a prefetch that fails answers as Kraken's does: 400 for what was asked, else 500, both in its form, beside ours.
 */

import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';
import { imageNamed, imagePushed, type NamedImage, type PushedImage } from '../../core/contracts/kraken/prefetch.ts';
import { KRAKEN_PROXY, type PrefetchAnswer, type PrefetchAsked } from '../../core/contracts/kraken/proxy.ts';
import type { CallContext } from '../../platform/clients/context.ts';
import { jsonOfAnyType } from '../../platform/http/any-json.ts';
import { callOf, clientOf, type Trusted, trustedOf } from '../../platform/http/call.ts';
import { type Asked, serve } from '../../platform/http/serve.ts';
import { errorBody } from '../../platform/http/server.ts';
import type { RegistryGate } from '../../platform/registry/gate.ts';
import type { Logger } from '../../platform/telemetry/log.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';
import type { PrefetchParts } from './image.ts';

/** Each is a few questions at a time; the bytes go from backends to origins. */
const runningMax = 64;
/** What was asked for, and not what came of it. */
const ASKED: ReadonlySet<string> = new Set(['REQUEST_INVALID', 'TAG_INVALID', 'NAME_INVALID']);
/** Said as everywhere. */
const OURS: ReadonlySet<string> = new Set(['DENIED', 'TOOMANYREQUESTS', 'UNAUTHORIZED']);
/** HTTP's statuses. */
const [badRequest, failed] = [400, 500];
const NAMES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
};

type Parts = PrefetchParts & {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Default: nobody is asked who he is. */
  readonly gate?: RegistryGate | undefined;
  /** Addresses and networks of proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
};
type Walk = typeof import('./image.ts');
type Wanted = Awaited<ReturnType<Walk['wantedByTag']>>;

export function addPrefetchRoutes(app: FastifyInstance, parts: Parts): void {
  const running = new Running(parts);
  const trusted = trustedOf(parts.trustedProxies);
  jsonOfAnyType(app, (scope) => {
    serve(scope, KRAKEN_PROXY.notify, async ({ body, request, reply }) => {
      const images = body.events.flatMap((event) => imagePushed(event) ?? []);
      for (const { repo } of images) await heed(repo, { request, reply }, { gate: parts.gate, trusted });
      running.pushed(images, callOf(request).detached());
      return reply.code(200).send();
    });
  });
  jsonOfAnyType(app, (scope) => {
    scope.setErrorHandler<FastifyError>((error, _request, reply) => refused(error, '', { reply }));
    for (const [route, when] of [
      [KRAKEN_PROXY.prefetchV1, 'later'],
      [KRAKEN_PROXY.prefetchV2, 'now'],
    ] as const)
      serve(scope, route, (asked) =>
        answered(asked, async ({ tag }) => {
          const image = imageNamed(tag);
          await heed(image.repo, asked, { gate: parts.gate, trusted });
          return await running.named(image, { tag, asked, when });
        }),
      );
  });
}

type PrefetchRequest = Asked<unknown, PrefetchAsked>;

/** Throws DENIED, or UNAUTHORIZED with where to log in. */
async function heed(
  repo: string,
  { request, reply }: Pick<PrefetchRequest, 'request' | 'reply'>,
  { gate, trusted }: { readonly gate: RegistryGate | undefined; readonly trusted: Trusted },
): Promise<void> {
  const { headers, socket } = request.raw;
  const asked = { headers, socket, address: clientOf(request.raw, trusted) };
  const refused = await gate?.refusal({ repo, action: 'pull' }, asked);
  if (refused === undefined) return;
  reply.headers(refused.headers ?? {});
  throw refused.error;
}

async function answered(
  asked: PrefetchRequest,
  act: (body: PrefetchAsked) => Promise<string>,
): Promise<PrefetchAnswer | FastifyReply> {
  const { trace_id = '' } = asked.body;
  try {
    const tag = await act(asked.body);
    return { tag, prefetched: true, status: 'success', message: 'prefetching initiated successfully', trace_id };
  } catch (error) {
    return refused(error, trace_id, asked);
  }
}

function refused(error: unknown, trace_id: string, { reply }: { readonly reply: FastifyReply }): FastifyReply {
  const told = error instanceof ApiError ? error : new ApiError('UNKNOWN', (error as Error).message);
  const ours = OURS.has(told.code) ? told.status : failed;
  const status = ASKED.has(told.code) || isRead(error) ? badRequest : ours;
  const krakens = { error: NAMES[status], prefetched: false, status: 'failure', message: told.message, trace_id };
  return reply.code(status).send({ ...krakens, ...errorBody(told) });
}

/** The server's own refusal of a body. */
function isRead(error: unknown): boolean {
  return ((error as Partial<FastifyError>).statusCode ?? failed) < failed;
}

type Steps = {
  /** Its manifests are read: what it needs is known. */
  readonly found: Promise<unknown>;
  /** An origin has each blob, or fetches it. */
  readonly done: Promise<void>;
};

/** Images that are being brought. */
class Running {
  readonly #parts: Parts;
  readonly #images;
  #running = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    const help = 'Images that origins were asked to have before anybody pulls them';
    this.#images = parts.metrics.counter('proxy_prefetches_total', help, ['outcome']);
  }

  /** What Kraken's answer calls it. Throws where it is not there; and, `now`, where not each blob is or comes. */
  async named(
    image: NamedImage,
    { tag, asked, when }: { readonly tag: string; readonly asked: PrefetchRequest; readonly when: 'now' | 'later' },
  ): Promise<string> {
    const { request } = asked;
    const ctx = when === 'now' ? callOf(request) : callOf(request).detached();
    const place = this.#take();
    const { found, done } = this.#bring(tag, (walk) => walk.wantedByTag(image, this.#parts, ctx), ctx);
    void done.catch(() => undefined).finally(place);
    await (when === 'now' ? done : found);
    return image.told;
  }

  /** Nobody waits for them. Throws TOOMANYREQUESTS. */
  pushed(images: readonly PushedImage[], ctx: CallContext): void {
    if (images.length === 0) return;
    const place = this.#take();
    const all = async (): Promise<void> => {
      for (const image of images) {
        const find = (walk: Walk): Promise<Wanted> => walk.wantedByPush(image, this.#parts, ctx);
        await this.#bring(`${image.repo}@${image.digest}`, find, ctx).done.catch(() => undefined);
      }
    };
    void all().finally(place);
  }

  /** Call it to give the place back. */
  #take(): () => void {
    if (this.#running >= runningMax)
      throw new ApiError('TOOMANYREQUESTS', `${runningMax} images are being prefetched: try again later`);
    this.#running++;
    return () => void this.#running--;
  }

  #bring(image: string, find: (walk: Walk) => Promise<Wanted>, ctx: CallContext): Steps {
    const walk = import('./image.ts');
    const found = walk.then(find);
    const bring = async (): Promise<void> => {
      try {
        const outcome = await (await walk).bring(await found, this.#parts, ctx);
        this.#images.inc({ outcome: 'asked' });
        this.#parts.log.info({ ...ctx.ids, image, ...outcome }, 'an image was prefetched to the origins');
      } catch (error) {
        this.#images.inc({ outcome: 'failed' });
        this.#parts.log.warn({ ...ctx.ids, image, why: (error as Error).message }, 'an image could not be prefetched');
        throw error;
      }
    };
    return { found, done: bring() };
  }
}

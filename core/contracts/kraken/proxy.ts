/**
 * The paths by which Kraken's users, and registries that tell of pushes (Docker's, Harbor), have a proxy bring images to the
 * origins before anybody pulls them.
 *
 * Rule: statuses and answers are Kraken's. A prefetch that fails says why in Kraken's form.
 */

import { flag, listOf, optional, type Parser, record, text } from '../parse.ts';
import { route } from '../route.ts';

/** Of one notification: a registry gathers few. */
const eventsMax = 1_000;
const anyText = optional(text(4_096));

/** What is read of a notification in Docker's form; everything else in it may be as it likes. */
export type RegistryEvent = {
  readonly action?: string | undefined;
  readonly target?:
    | {
        readonly mediaType?: string | undefined;
        readonly repository?: string | undefined;
        readonly digest?: string | undefined;
        readonly tag?: string | undefined;
      }
    | undefined;
};

const event: Parser<RegistryEvent> = record({
  action: anyText,
  target: optional(record({ mediaType: anyText, repository: anyText, digest: anyText, tag: anyText })),
});

/** `tag`: `host/repository:tag`. `trace_id` comes back as it came. */
export type PrefetchAsked = { readonly tag: string; readonly trace_id?: string | undefined };
const asked: Parser<PrefetchAsked> = record({ tag: text(1_024, 1), trace_id: optional(text(1_024)) });

export type PrefetchAnswer = {
  readonly tag: string;
  readonly prefetched: boolean;
  readonly status: string;
  readonly message: string;
  readonly trace_id: string;
};
const answer: Parser<PrefetchAnswer> = record({
  tag: text(1_024),
  prefetched: flag,
  status: text(64),
  message: text(65_536),
  trace_id: text(1_024),
});

export const KRAKEN_PROXY = {
  /** 200, whatever becomes of it. */
  notify: route('POST', '/registry/notifications', { body: record({ events: listOf(event, eventsMax) }) }),
  /** 200 at once; what the image needs is brought in the background. */
  prefetchV1: route('POST', '/proxy/v1/registry/prefetch', { body: asked, reply: answer }),
  /** 200 once an origin has each blob of it, or has begun to fetch it; 400, 500. */
  prefetchV2: route('POST', '/proxy/v2/registry/prefetch', { body: asked, reply: answer }),
} as const;

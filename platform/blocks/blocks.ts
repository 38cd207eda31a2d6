/**
 * Blocked digests as a process knows them: the document `blocks`, followed.
 *
 * Rule 1: whoever gives bytes asks the list itself, a Map, before the first byte and before each further one: an entry that
 *   comes ends what is under way.
 * Rule 2: what is blocked stays on the disk, as evidence and for the case that it is unblocked: nothing evicts it.
 * Rule 3: the list is the last one that could be read, for as long as no index answers (platform/clients/followed.ts).
 */

import { type Block, blockedError, blocksIn } from '../../core/contracts/documents/blocks.ts';
import type { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { DocumentClient } from '../clients/documents.ts';
import { FollowedDocument } from '../clients/followed.ts';
import type { HttpClient } from '../clients/http.ts';
import type { RoleContext } from '../lifecycle/role.ts';
import type { Members } from '../members/members.ts';
import { realClock } from '../net/clock.ts';

/** What whoever gives bytes needs of it. */
export type Blocked = {
  readonly list: ReadonlyMap<Digest, Block>;
  /** Counted; to be thrown. */
  refused(block: Block): ApiError;
};

/** Digests that came to the list, and that left it. */
type Changed = (added: readonly Digest[], removed: readonly Digest[]) => void;

type Context = Pick<RoleContext<unknown>, 'log' | 'metrics'>;

export class Blocks implements Blocked {
  readonly list = new Map<Digest, Block>();
  readonly #context: Context;
  readonly #index: Members<HttpClient> | undefined;
  readonly #refused;
  readonly #listeners: Changed[] = [];
  #followed: FollowedDocument<readonly Block[]> | undefined;

  /** `index` undefined: nothing is ever blocked. */
  constructor(context: Context, index: Members<HttpClient> | undefined) {
    this.#context = context;
    this.#index = index;
    const help = 'Requests that were refused, or cut, as the digest is blocked';
    this.#refused = context.metrics.counter('blocked_refused_total', help, ['digest']);
    context.metrics.observed('blocked_digests', 'Digests that nobody is given', () => this.list.size);
  }

  /** Begins with what was kept in `dir`, and follows the index, until the stack ends. */
  async follow(dir: string | undefined, stack: AsyncDisposableStack): Promise<void> {
    if (this.#index === undefined) return;
    const documents = new DocumentClient(this.#index);
    const how = { documents, parse: blocksIn, dir, clock: realClock, ...this.#context };
    const followed = new FollowedDocument({ name: 'blocks', ...how });
    followed.onChange((blocked) => this.take(blocked));
    this.#followed = followed;
    await followed.start();
    stack.use(followed);
  }

  /** The whole list. */
  take(blocked: readonly Block[]): void {
    const now = new Map(blocked.map((block) => [block.digest, block]));
    const added = [...now.keys()].filter((digest) => !this.list.has(digest));
    const removed = [...this.list.keys()].filter((digest) => !now.has(digest));
    for (const digest of removed) this.list.delete(digest);
    for (const [digest, block] of now) this.list.set(digest, block);
    if (added.length + removed.length > 0) for (const then of this.#listeners) then(added, removed);
  }

  refused(block: Block): ApiError {
    this.#refused.inc({ digest: block.digest });
    return blockedError(block);
  }

  onChange(then: Changed): void {
    this.#listeners.push(then);
  }

  /** For /readiness. */
  problems(): string[] {
    return this.#followed?.problems() ?? [];
  }
}

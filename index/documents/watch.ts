/**
 * Documents as thousands of hosts follow them: who asks for the next version waits here, and the store is looked at for all.
 *
 * Rule 1: while anybody waits for a document the store is looked at once in `documentLookMs`; while nobody does, never. What this
 *   process writes itself is seen at once.
 * Rule 2: an answer to who waits may be `documentLookMs` old. Who is about to change a document reads it anew (`now`).
 * Rule 3: a look that began before a write of this process says nothing of what is there after it.
 * Rule 4: so many wait at once, each for so long, and no more: whoever comes beyond that is told when to ask again.
 * Rule 5: where there is none nobody is told so at once: it may be written, or the index may have been put back.
 */

import { type DocumentName, type DocumentSaid, documentWaitMs } from '../../core/contracts/documents/documents.ts';
import type { Clock } from '../../platform/net/clock.ts';
import type { DocumentStore, StoredDocument } from '../../platform/tags/documents.ts';

export const documentLookMs = 1_000;
/** Each has a connection, some 20 KB: more than the largest cluster that is tested has hosts. */
export const waitingMax = 20_000;
/** Who finds no place asks so much later, and half as long again at most: a change is still told within seconds. */
const againMs = 3_000;
/** Answers of one turn of the event loop: some milliseconds. */
const wokenMax = 200;

const none: StoredDocument = { version: 0, text: 'null' };

/** As it is sent: `text` is the body's JSON; undefined: there is nothing newer. */
export type ToldDocument = Pick<DocumentSaid, 'version' | 'againMs'> & { readonly text?: string | undefined };

type Waiter = { readonly after: number; readonly tell: (told: ToldDocument) => void };
type Look = { readonly waiters: Set<Waiter>; known: StoredDocument | undefined; lookedMs: number } & {
  looking: Promise<StoredDocument> | undefined;
  /** Writes of this process. */
  writes: number;
  timer: Disposable | undefined;
};

export type WatchOptions = {
  readonly store: DocumentStore;
  readonly clock: Clock;
  readonly waitMs?: number;
  readonly waitingMax?: number;
};

export class DocumentWatch implements Disposable {
  readonly #options: Required<WatchOptions>;
  readonly #looks = new Map<DocumentName, Look>();
  #waiting = 0;
  #ended = false;

  constructor(options: WatchOptions) {
    this.#options = { waitMs: documentWaitMs, waitingMax, ...options };
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** As it is in the store. */
  async now(name: DocumentName): Promise<ToldDocument> {
    const { version, text } = (await this.#options.store.document(name)) ?? none;
    return version === 0 ? { version } : { version, text };
  }

  /** Once there is another version than `after`; without a text where none came in time. */
  async after(name: DocumentName, after: number, signal: AbortSignal): Promise<ToldDocument> {
    const look = this.#of(name);
    const known = await this.#known(name, look);
    if (isNews(known, after)) return known;
    if (this.#ended) return { version: known.version };
    if (this.#waiting >= this.#options.waitingMax)
      return { version: known.version, againMs: Math.round(againMs * (1 + Math.random() / 2)) };
    return await this.#wait(name, look, { after, signal });
  }

  /** False: its version is not `expected`. */
  async put(name: DocumentName, document: StoredDocument, expected: number): Promise<boolean> {
    const done = await this.#options.store.putDocument(name, document, expected);
    const look = this.#of(name);
    look.writes += 1;
    if (done) this.#see(look, document);
    return done;
  }

  /** Nobody waits any longer. */
  [Symbol.dispose](): void {
    this.#ended = true;
    for (const { waiters, known, timer } of this.#looks.values()) {
      timer?.[Symbol.dispose]();
      for (const { tell } of [...waiters]) tell({ version: known?.version ?? 0 });
    }
  }

  #of(name: DocumentName): Look {
    let look = this.#looks.get(name);
    if (look === undefined) {
      look = { waiters: new Set(), known: undefined, lookedMs: 0, looking: undefined, writes: 0, timer: undefined };
      this.#looks.set(name, look);
    }
    return look;
  }

  async #known(name: DocumentName, look: Look): Promise<StoredDocument> {
    if (look.known !== undefined && this.#options.clock.nowMs() - look.lookedMs < documentLookMs) return look.known;
    return await this.#look(name, look);
  }

  #look(name: DocumentName, look: Look): Promise<StoredDocument> {
    const { writes } = look;
    look.looking ??= this.#options.store.document(name).then(
      (found = none) => {
        look.looking = undefined;
        if (look.writes === writes) this.#see(look, found);
        return look.known ?? found;
      },
      (error: unknown) => {
        look.looking = undefined;
        throw error;
      },
    );
    return look.looking;
  }

  #see(look: Look, found: StoredDocument): void {
    look.known = found;
    look.lookedMs = this.#options.clock.nowMs();
    this.#wake(
      look,
      [...look.waiters].filter(({ after }) => isNews(found, after)),
    );
  }

  #wake(look: Look, waiters: readonly Waiter[]): void {
    for (const { tell } of waiters.slice(0, wokenMax)) tell(look.known ?? none);
    if (waiters.length > wokenMax) this.#options.clock.soon(() => this.#wake(look, waiters.slice(wokenMax)));
  }

  #wait(
    name: DocumentName,
    look: Look,
    { after, signal }: { readonly after: number; readonly signal: AbortSignal },
  ): Promise<ToldDocument> {
    const { clock, waitMs } = this.#options;
    return new Promise((resolve) => {
      const tell = (told: ToldDocument): void => {
        if (!look.waiters.delete(waiter)) return;
        this.#waiting -= 1;
        late[Symbol.dispose]();
        signal.removeEventListener('abort', left);
        resolve(told);
      };
      const left = (): void => tell({ version: after });
      const waiter: Waiter = { after, tell };
      const late = clock.after(waitMs, () => tell({ version: look.known?.version ?? 0 }));
      signal.addEventListener('abort', left, { once: true });
      look.waiters.add(waiter);
      this.#waiting += 1;
      this.#keepLooking(name, look);
    });
  }

  #keepLooking(name: DocumentName, look: Look): void {
    if (look.timer !== undefined || look.waiters.size === 0 || this.#ended) return;
    look.timer = this.#options.clock.after(documentLookMs, () => {
      look.timer = undefined;
      // A store that does not answer is asked again; who waits knows no more by it.
      this.#look(name, look)
        .catch(() => undefined)
        .finally(() => this.#keepLooking(name, look));
    });
  }
}

const isNews = ({ version }: StoredDocument, after: number): boolean => version !== 0 && version !== after;

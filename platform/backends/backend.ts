/**
 * A backend: where blobs and tags rest beyond the cluster, an object a key. One interface, one conformance suite
 * (conformance.fixtures.ts); each kind is a file of its own beside this one.
 *
 * Rule 1: keys are given, never made here: layout.ts says which key a blob has.
 * Rule 2: what fails throws BackendError, which names backend, object and remedy. Nothing else leaves a backend.
 * Rule 3: a signal ends every call, at each of its steps. A call that makes no progress for `stallMs` ends by itself.
 * Rule 4: nobody is believed: who reads compares with the digest, and a write counts once the backend has confirmed size
 *         and checksum.
 */

import type { Digest } from '../../core/digest.ts';
import type { Proven } from '../lifecycle/proof.ts';
import { unsaid } from '../telemetry/unsaid.ts';

/**
 * missing: there is no such object, or no such bucket (`scope` tells); denied: it may not be done with these credentials;
 * credentials: there are none, or they are wrong or over; throttled: the backend asks for less; unavailable: it does not
 * answer, or says that it cannot now; stalled: no byte in time; damaged: what came is not what was announced (too short,
 * too long, another checksum); changed: the object is another than when its reading began; full: no room there;
 * unsupported: it lacks something that is needed; refused: the request was wrong, which another attempt does not change.
 */
export type BackendCause =
  | 'missing'
  | 'denied'
  | 'credentials'
  | 'throttled'
  | 'unavailable'
  | 'stalled'
  | 'damaged'
  | 'changed'
  | 'full'
  | 'unsupported'
  | 'refused';

/** Who asks to be left alone for longer, or who sits between and says so, is asked again nonetheless: it may be wrong. */
export const retryAfterMsMax = 3_600_000;

/** `message` names backend, object, what was wrong and what to do. */
export class BackendError extends Error {
  override readonly name = 'BackendError';
  readonly why: BackendCause;
  /** What the backend asked for (Retry-After), milliseconds, within `retryAfterMsMax`. */
  readonly afterMs: number | undefined;
  /** What it is that is missing, or may not be used. */
  readonly scope: 'object' | 'bucket';
  constructor(
    cause: BackendCause,
    message: string,
    more: { afterMs?: number | undefined; error?: unknown; scope?: 'object' | 'bucket' } = {},
  ) {
    super(unsaid(message), { cause: more.error });
    this.why = cause;
    this.afterMs = more.afterMs === undefined ? undefined : Math.min(more.afterMs, retryAfterMsMax);
    this.scope = more.scope ?? 'object';
  }
}

/** What a backend says of an object. */
export type BackendObject = {
  readonly size: number;
  /** As its writer recorded it there; a backend that was filled by others does not know it. */
  readonly digest?: Digest | undefined;
  /** Another one when the object is another (ETag, generation, mtime): `read` takes it, so that no two states are mixed. */
  readonly version: string;
};

/** A small object as `load` gives it. */
export type LoadedObject = { readonly bytes: Uint8Array; readonly version: string };

/** The bytes of an object to be written: may be read again from any place, as often as an attempt needs it. */
export type ObjectSource = {
  readonly size: number;
  readonly digest: Digest;
  /** Chunks are the reader's until it asks for the next one. `end` is exclusive. */
  read(start: number, end: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
};

export type BackendRead = {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** The object must be of this version, else BackendError changed. */
  readonly version?: string | undefined;
};

export type BackendPage = {
  /** In the order of the keys' UTF-8 bytes. */
  readonly objects: readonly { readonly key: string; readonly size: number }[];
  /** Where the next page begins (`after`); undefined: that was the last. */
  readonly next: string | undefined;
};

/** Only if the object is at this version; null: only if there is none. Absent: whatever is there. */
export type WriteCondition = { readonly version: string | null };

export interface Backend extends AsyncDisposable {
  /** As the configuration calls it: in messages and in the metrics' label. */
  readonly name: string;
  readonly kind: string;
  readonly can: {
    /** `put` honours its condition, atomically. */
    readonly conditions: boolean;
    readonly list: boolean;
    /** Objects may be written; else `write` and `put` are `unsupported`, and a probe proves reading alone. */
    readonly writes: boolean;
    /** Any key is kept; false: only those that mean something there (a registry's, a table's): records of ours are not. */
    readonly records: boolean;
  };
  /** What `probe` shows where it goes well; absent: `written`, or `read` where nothing can be. */
  readonly proves?: Proven | undefined;
  /** Credentials, reachability, the right to write (an object is written, read and removed where that can be undone). */
  probe(signal: AbortSignal): Promise<void>;
  /** undefined: there is no such object (a missing bucket is an error). */
  stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined>;
  /**
   * A small object (at most smallBytesMax) whole, with its version, by one request; undefined: there is none. Absent: this
   * kind reads only what is known to be there.
   */
  readonly load?: ((key: string, signal: AbortSignal) => Promise<LoadedObject | undefined>) | undefined;
  /** The bytes as they come; exactly `end - start` of them, or it throws. */
  read(key: string, range: BackendRead, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Resolves once the backend has confirmed that it holds `size` bytes with the right checksum. Replaces what was there. */
  write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject>;
  /** A small object (at most smallBytesMax), whole. BackendError changed where the condition is not met. */
  put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject>;
  /** Objects whose key begins with `prefix`, after the key `after`. */
  list(prefix: string, page: { after?: string | undefined; max: number }, signal: AbortSignal): Promise<BackendPage>;
  /**
   * One that is not there is fine. Of what is not a probe's or a test's only blobs are ever removed that nobody needs, and only
   * where the rule says so (index/gc/deletion.ts): tags, links and records stay.
   */
  remove(key: string, signal: AbortSignal): Promise<void>;
  /**
   * A URL by which whoever has it may read the object for a while, without credentials, in whatever range it asks for.
   * Absent: this kind has none, or its rule does not want it. Nobody is asked whether the object is there.
   */
  readonly presign?: ((key: string, signal: AbortSignal) => Promise<string>) | undefined;
}

/** Bytes of an object that `put` takes. */
export const smallBytesMax = 4 * 1024 * 1024;
/** Keys on a page of `list`, at most. */
export const pageKeysMax = 1000;

/** What a durable queue holds: rows of work that somebody was promised, each until it is done or a person drops it. */

/** A row as it is added. Keys are unique: of one key at most one row is there. */
export type NewRow = {
  readonly key: string;
  /** Whose turn it waits for: rows of one lane wait for the same thing (a backend), and never hold up another lane's. */
  readonly lane: string;
  /** What it is about (a digest); rows of several lanes may be about the same. */
  readonly about: string;
  readonly bytes: number;
  /** Whatever its owner needs to do it. */
  readonly data: string;
};

export type Row = NewRow & {
  readonly id: number;
  /** Another one whenever the row was written anew: what was done belongs to the one that it was begun for. */
  readonly revision: number;
  readonly addedMs: number;
  readonly dueMs: number;
  /** That failed. */
  readonly attempts: number;
  /** Of the last failure; empty: none. */
  readonly cause: string;
  readonly message: string;
  /** It has failed too often in a way that another attempt does not change: it waits for a person. */
  readonly dead: boolean;
};

/** What an attempt ended with. */
export type RowFailure = {
  readonly cause: string;
  readonly message: string;
  /** Another attempt would most likely end the same: after a few of them the row is dead. */
  readonly final: boolean;
  /** Not before so long, milliseconds. */
  readonly afterMs?: number | undefined;
};

/** Absent: any. */
export type RowFilter = {
  readonly lane?: string | undefined;
  readonly about?: string | undefined;
  readonly cause?: string | undefined;
  readonly dead?: boolean | undefined;
};
export type RowPage = {
  readonly rows: readonly Row[];
  /** `after` of the next page; undefined: that was the last. */
  readonly next: number | undefined;
};

export type LaneStats = {
  readonly lane: string;
  /** Rows that are not dead, and the bytes that they are about. */
  readonly waiting: number;
  readonly bytes: number;
  readonly dead: number;
  /** When the oldest row that is not dead was added; undefined: there is none. */
  readonly oldestMs: number | undefined;
  /** Rows by the cause of their last failure. */
  readonly causes: Readonly<Record<string, number>>;
};

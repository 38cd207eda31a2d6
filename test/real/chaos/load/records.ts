/** What the load did, as values: the judge reads them, and nothing else of a run. */

/** A repository's blob or manifest. */
export type Held = { readonly repo: string; readonly digest: string; readonly kind: 'blob' | 'manifest' };
/** An image whose manifest was acknowledged. */
export type Image = {
  readonly repo: string;
  readonly tag: string;
  readonly manifest: string;
  readonly blobs: readonly { readonly digest: string; readonly size: number }[];
};

/** How it ended where it did not end right. */
export type Failure = {
  /** What was asked for. */
  readonly at: string;
  /** 0: there was no whole answer. */
  readonly status: number;
  /** One of Shoal's codes, or how the connection ended (http.ts). */
  readonly code: string;
  readonly message: string;
  readonly requestId?: string | undefined;
};

export type PullRecord = {
  readonly no: number;
  /** The agent or proxy that was asked. */
  readonly gateway: string;
  readonly by: 'tag' | 'digest';
  readonly what: string;
  /** Since the load began. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly bytes: number;
  readonly failure?: Failure;
  /** What came, and is not what it must be. */
  readonly wrong?: string;
};

export type PushRecord = {
  readonly no: number;
  readonly gateway: string;
  readonly what: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly failure?: Failure;
};

/** Throws as what a pull or a push ends with. */
export class Failed extends Error {
  override readonly name = 'Failed';
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(`${failure.at}: ${failure.status} ${failure.code}: ${failure.message}`);
    this.failure = failure;
  }
}
/** Throws where what came is wrong. */
export class Wrong extends Error {
  override readonly name = 'Wrong';
}

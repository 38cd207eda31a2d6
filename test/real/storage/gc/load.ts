/**
 * Pushes, mounts, HEADs with a manifest after them, and deletions, of images that share their blobs, by callers who try again
 * as clients do. What was acknowledged of each image is known: of an image and repository one call is under way at a time.
 */

import { createHash } from 'node:crypto';
import { type Digest, digestOf } from '../../../../core/digest.ts';
import { MEDIA } from '../../../../core/oci/media.ts';
import { OCI_PATHS } from '../../../../core/oci/paths.ts';
import type { Prng } from '../../../../core/prng.ts';
import { type Made, type MadeImage, made } from '../../../images.fixtures.ts';
import { pause } from './site.ts';

const repos = ['a/x', 'a/y', 'b/z'] as const;
const [blobsMax, imagesMax, callers] = [30, 24, 6] as const;
const callMs = 20_000;
/** A call that was not answered may be done so much later. */
const unsureMs = 30_000;

/** Acknowledged; or nobody knows, as an answer was lost. */
type State = 'there' | 'gone' | 'unknown';
export type Place = { readonly repo: string; readonly image: MadeImage };

export class Load {
  readonly states = new Map<string, Place & { state: State; unsureUntilMs: number }>();
  readonly done: Record<string, number> = {};
  /** The index has surely linked them at some time: it answered so. What it never heard of may stay in a backend. */
  readonly linked = new Set<Digest>();
  readonly #proxy: string;
  readonly #random: Prng;
  readonly #images: readonly MadeImage[];
  readonly #busy = new Set<string>();
  over = false;

  constructor(proxy: string, random: Prng) {
    this.#proxy = proxy;
    this.#random = random;
    const blobs = Array.from({ length: blobsMax }, (_, no) => madeOf(no, 200 + random.below(40_000)));
    this.#images = Array.from({ length: imagesMax }, (_, no) => {
      const own = [0, 1, 2].map((i) => blobs[(no * 7 + i * 11) % blobsMax] as Made);
      return imageOf([...new Set(own)]);
    });
  }

  get operations(): number {
    return Object.values(this.done).reduce((sum, n) => sum + n, 0);
  }

  /** Until `over`. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: callers }, () => this.#caller()));
  }

  async #caller(): Promise<void> {
    while (!this.over) {
      const repo = repos[this.#random.below(repos.length)] as string;
      const image = this.#images[this.#random.below(imagesMax)] as MadeImage;
      const key = `${repo} ${image.digest}`;
      if (this.#busy.has(key)) {
        await pause(5);
        continue;
      }
      this.#busy.add(key);
      try {
        await this.#one(key, { repo, image });
      } finally {
        this.#busy.delete(key);
      }
    }
  }

  async #one(key: string, place: Place): Promise<void> {
    const known = this.states.get(key) ?? { ...place, state: 'gone' as State, unsureUntilMs: 0 };
    this.states.set(key, known);
    const before = known.state;
    known.state = 'unknown';
    const pushes = before === 'gone' || this.#random.below(3) === 0;
    const outcome = await (pushes ? this.#push(place) : this.#delete(place));
    const nowMs = performance.now();
    if (outcome === undefined) known.unsureUntilMs = nowMs + unsureMs;
    else if (nowMs > known.unsureUntilMs) known.state = outcome;
    this.#count(outcome === undefined ? 'unanswered' : pushes ? 'pushed' : 'deleted');
  }

  async #push({ repo, image }: Place): Promise<State | undefined> {
    for (let attempt = 0; attempt < 4; attempt++) {
      let blobs = 0;
      for (const blob of image.blobs) {
        if (!(await this.#blob(repo, blob))) continue;
        this.linked.add(blob.digest);
        blobs += 1;
      }
      // Some take their time.
      if (this.#random.below(8) === 0) await pause(this.#random.below(1_500));
      if (blobs < image.blobs.length) continue;
      const path = OCI_PATHS.manifest(repo, image.digest);
      const answer = await this.#call('PUT', path, { body: image.bytes, type: MEDIA.ociManifest });
      if (answer?.status !== 201) continue;
      this.linked.add(image.digest);
      return 'there';
    }
    return undefined;
  }

  /** As a client: what is there is not sent; what another repository has is mounted. */
  async #blob(repo: string, { digest, bytes }: Made): Promise<boolean> {
    if ((await this.#call('HEAD', OCI_PATHS.blob(repo, digest)))?.status === 200) return true;
    const from = repos[this.#random.below(repos.length)] as string;
    const query = this.#random.below(2) === 0 ? `?mount=${digest}&from=${from}` : '';
    const begun = await this.#call('POST', OCI_PATHS.uploads(repo) + query);
    if (begun?.status === 201) this.#mounted += 1;
    if (begun?.status === 201) return true;
    const location = begun?.headers.get('location');
    if (begun?.status !== 202 || location == null) return false;
    const at = OCI_PATHS.commit(new URL(location, this.#proxy).href, digest).slice(this.#proxy.length);
    return (await this.#call('PUT', at, { body: bytes, type: MEDIA.octets }))?.status === 201;
  }

  #mounted = 0;
  get mounted(): number {
    return this.#mounted;
  }

  async #delete({ repo, image }: Place): Promise<State | undefined> {
    for (let attempt = 0; attempt < 3; attempt++) {
      const answer = await this.#call('DELETE', OCI_PATHS.manifest(repo, image.digest));
      if (answer?.status === 202 || answer?.status === 404) return 'gone';
      await pause(100);
    }
    return undefined;
  }

  /** Undefined: it was not answered. */
  async #call(
    method: string,
    path: string,
    sent?: { readonly body: Uint8Array<ArrayBuffer>; readonly type: string },
  ): Promise<Response | undefined> {
    try {
      const headers = sent === undefined ? {} : { 'content-type': sent.type };
      const signal = AbortSignal.timeout(callMs);
      const answer = await fetch(this.#proxy + path, { method, headers, body: sent?.body ?? null, signal });
      await answer.arrayBuffer();
      if (answer.status >= 500) await pause(50);
      return answer;
    } catch {
      await pause(100);
      return undefined;
    }
  }

  #count(what: string): void {
    this.done[what] = (this.done[what] ?? 0) + 1;
  }
}

/** The same bytes for the same number: what is deleted comes again. */
function madeOf(no: number, size: number): Made {
  const block = createHash('sha512').update(`blob ${no}`).digest();
  return made(Uint8Array.from({ length: size }, (_, i) => block[i % block.length] as number));
}

function imageOf(blobs: readonly Made[]): MadeImage {
  const described = blobs.map(({ digest, bytes, mediaType }) => ({ mediaType, digest, size: bytes.length }));
  const [config, ...layers] = described;
  const text = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers });
  return { ...made(Uint8Array.from(Buffer.from(text)), MEDIA.ociManifest), blobs };
}

export function digestIn(bytes: Uint8Array): Digest {
  return digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
}

/**
 * A blob written to a registry: had from another repository there, or sent; what was cut is gone on with.
 *
 * Rule 1: it counts once the registry has confirmed the digest. Bytes that are fewer or more than announced are not sent to
 *         their end.
 * Rule 2: an upload that is not ended is given up there, so that it leaves nothing; or it is kept, where whoever wants it
 *         comes again (`kept`), and then goes on where the registry says that it stands.
 * Rule 3: an upload goes on where the registry itself says, not wherever it may name: no host but its own.
 */

import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { BackendError, type ObjectSource } from '../backend.ts';
import type { WebAnswer } from '../web/answer.ts';
import { pullScopes, pushScopes, type RegistryApi, type RegistryCall } from './api.ts';
import type { BlobAt } from './blobs.ts';
import { giveUpMsMax, vainUploadsMax, wholeUploadBytesMax } from './limits.ts';

export type UploadPlan = BlobAt & {
  /** Another repository that has it, as it is called there. */
  readonly from: string | undefined;
  /** Of one request, at most; undefined: all of it. */
  readonly chunk: number | undefined;
  /** Where one that was broken off by an outage is noted, and taken up. */
  readonly kept?: KeptUpload | undefined;
};

export type KeptUpload = { location: URL | undefined };

/** What another attempt within the same upload may mend. */
const PASSING: ReadonlySet<string> = new Set(['unavailable', 'stalled']);

export async function uploadBlob(
  api: RegistryApi,
  plan: UploadPlan,
  source: ObjectSource,
  signal: AbortSignal,
): Promise<void> {
  const upload = new Upload(api, plan, source, signal);
  await upload.run();
}

class Upload {
  readonly #api: RegistryApi;
  readonly #plan: UploadPlan;
  readonly #source: ObjectSource;
  readonly #signal: AbortSignal;
  #location: URL | undefined;

  constructor(api: RegistryApi, plan: UploadPlan, source: ObjectSource, signal: AbortSignal) {
    this.#api = api;
    this.#plan = plan;
    this.#source = source;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    const { size } = this.#source;
    const { chunk = Number.POSITIVE_INFINITY, kept } = this.#plan;
    const whole = size <= Math.min(wholeUploadBytesMax, chunk);
    const stood = whole ? undefined : await this.#takenUp(kept);
    if (stood === undefined && (await this.#begin())) return;
    try {
      if (whole) return await this.#commit(this.#bytes(0, size), size);
      await this.#send(chunk, stood ?? 0);
      await this.#commit(new Uint8Array(), 0);
    } catch (error) {
      if (kept !== undefined && !whole && this.#passes(error)) kept.location = this.#location;
      else await this.#giveUp();
      throw error;
    }
  }

  /** Where one that was kept stands; undefined: there is none. */
  async #takenUp(kept: KeptUpload | undefined): Promise<number | undefined> {
    if (kept?.location === undefined) return undefined;
    this.#location = kept.location;
    kept.location = undefined;
    const stands = await this.#stands().catch((error: unknown) => {
      // Whoever does not answer may have it yet.
      if (this.#passes(error)) kept.location = this.#location;
      if (kept.location !== undefined) throw error;
      return undefined;
    });
    if (stands !== undefined && stands <= this.#source.size) return stands;
    await this.#giveUp();
    this.#location = undefined;
    return undefined;
  }

  /** An outage, or whoever sends it has stopped: nothing is wrong with the upload. */
  #passes(error: unknown): boolean {
    return this.#signal.aborted || (error instanceof BackendError && PASSING.has(error.why));
  }

  /** True: the repository has the blob now. */
  async #begin(): Promise<boolean> {
    const { repo, digest, from } = this.#plan;
    const scopes = from === undefined ? pushScopes(repo) : [...pushScopes(repo), ...pullScopes(from)];
    const path = from === undefined ? OCI_PATHS.uploads(repo) : OCI_PATHS.mount(repo, digest, from);
    const answer = await this.#call({ method: 'POST', path, scopes, headers: { 'content-length': '0' } }).catch(
      (error: unknown) => {
        // A registry that does not mount may say so as it likes.
        if (from === undefined || !(error instanceof BackendError) || PASSING.has(error.why)) throw error;
        return this.#call({ method: 'POST', path: OCI_PATHS.uploads(repo), headers: { 'content-length': '0' } });
      },
    );
    if (answer.status === 201) return true;
    this.#location = this.#locationIn(answer);
    return false;
  }

  /** All of it, in parts of `chunk`. What was cut goes on where the registry stands. */
  async #send(chunk: number, from: number): Promise<void> {
    const { size } = this.#source;
    let vain = 0;
    for (let at = from; at < size; ) {
      const end = Math.min(size, at + chunk);
      try {
        await this.#patch(at, end);
        at = end;
        vain = 0;
      } catch (error) {
        if (!(error instanceof BackendError) || !PASSING.has(error.why) || this.#signal.aborted) throw error;
        const stands = await this.#stands().catch(() => undefined);
        if (stands === undefined || stands > size) throw error;
        vain = stands > at ? 0 : vain + 1;
        if (vain >= vainUploadsMax) throw error;
        at = stands;
      }
    }
  }

  async #patch(start: number, end: number): Promise<void> {
    const { chunk } = this.#plan;
    // As docker sends it, whole: some registries know no parts.
    const range: Record<string, string> =
      chunk === undefined && start === 0 ? {} : { 'content-range': `${start}-${end - 1}` };
    const headers = {
      ...range,
      ...{ 'content-type': 'application/octet-stream', 'content-length': String(end - start) },
    };
    const answer = await this.#call({ method: 'PATCH', headers, body: this.#bytes(start, end) });
    this.#location = this.#locationIn(answer);
  }

  async #commit(body: AsyncIterable<Uint8Array> | Uint8Array, bytes: number): Promise<void> {
    const path = new URL(this.#location as URL);
    path.searchParams.set('digest', this.#plan.digest);
    const headers = { 'content-type': 'application/octet-stream', 'content-length': String(bytes) };
    const answer = await this.#call({ method: 'PUT', path, headers, body });
    this.#location = undefined;
    if (answer.status !== 201 && answer.status !== 204)
      throw answer.wrong('damaged', `answers ${answer.status} to the end of an upload`, 'it is not confirmed');
  }

  /** Bytes that the registry has of it; undefined: it does not know. */
  async #stands(): Promise<number | undefined> {
    const answer = await this.#call({ method: 'GET' });
    const range = /^(?:bytes=)?0-(\d{1,15})$/.exec(answer.headers['range'] ?? '');
    if (range === null) return undefined;
    this.#location = this.#locationIn(answer, this.#location);
    // An upload without a byte says the same as one with a single byte: that one is not gone on with.
    return range[1] === '0' ? undefined : Number(range[1]) + 1;
  }

  async #giveUp(): Promise<void> {
    if (this.#location === undefined) return;
    const signal = AbortSignal.timeout(giveUpMsMax);
    await this.#call({ method: 'DELETE', expect: [404, 405], signal }).catch(() => undefined);
  }

  async #call(call: Partial<RegistryCall> & Pick<RegistryCall, 'method'>): Promise<WebAnswer> {
    const { repo, key } = this.#plan;
    const path = this.#location ?? OCI_PATHS.uploads(repo);
    const about = { doing: 'write', object: key, signal: this.#signal, scopes: pushScopes(repo) };
    const answer = await this.#api.call({ path, ...about, ...call });
    this.#api.noHtml(answer);
    await answer.discard();
    return answer;
  }

  #locationIn(answer: WebAnswer, otherwise?: URL): URL {
    const said = answer.headers['location'];
    const { base } = this.#api;
    const url = said === undefined ? otherwise : (URL.parse(said, answer.url.href) ?? undefined);
    if (url === undefined) throw answer.wrong('unavailable', 'begins an upload without saying where');
    // A registry behind a proxy that ends TLS does not know that it is spoken to so.
    if (url.host === base.host) url.protocol = base.protocol;
    if (url.origin === base.origin) return url;
    throw answer.wrong(
      'refused',
      `says that the upload goes on at ${url.origin}`,
      'it is to name its own address: of a distribution registry that is `http.host`, or `http.relativeurls`',
    );
  }

  async *#bytes(start: number, end: number): AsyncGenerator<Uint8Array> {
    let at = start;
    for await (const chunk of this.#source.read(start, end, this.#signal)) {
      at += chunk.length;
      if (at > end) throw this.#miscounted('more');
      yield chunk;
    }
    if (at < end) throw this.#miscounted('fewer');
  }

  #miscounted(how: string): BackendError {
    const { key } = this.#plan;
    return new BackendError(
      'damaged',
      `${this.#api.name}: ${key}: ${how} bytes came to be written than were announced`,
    );
  }
}

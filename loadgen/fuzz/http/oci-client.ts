/**
 * A client of the OCI distribution protocol, as builders and runtimes are: it goes on with an upload where it stands,
 * at whichever proxy, and asks again what got no answer.
 *
 * Rule: what a server answers that no server of ours may answer ends the run.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import type { Method } from '../../../core/contracts/route.ts';
import type { Digest } from '../../../core/digest.ts';
import { MEDIA } from '../../../core/oci/media.ts';
import { OCI_PATHS, sessionOf } from '../../../core/oci/paths.ts';
import { type ByteRange, uploadRange } from '../../../core/oci/range.ts';
import { CallContext } from '../../../platform/clients/context.ts';
import { type CallOptions, HttpClient, type Reply } from '../../../platform/clients/http.ts';
import type { Content } from '../content.ts';
import type { Process, World } from '../world.ts';
import { wiresOf } from './wires.ts';

/** As patient as tools are with a registry that is busy. */
const stallMs = 20_000;
const patchBytesMax = 400_000;
/** Times that an upload is taken up again. */
const resumesMax = 6;
const commitsMax = 3;

/** An upload as the server told of it last. */
type Upload = { location: string; at: number };

export class OciClient {
  readonly process: Process;
  readonly #world: World;
  readonly #clients: readonly HttpClient[];

  /** `bases`: any of them serves. */
  constructor(world: World, process: Process, bases: readonly string[]) {
    this.process = process;
    this.#world = world;
    const transport = wiresOf(world).transport(process);
    this.#clients = bases.map((base) => new HttpClient({ base, transport }));
  }

  /** Whether the server says that a push of it is not needed. */
  async has(repo: string, digest: Digest): Promise<boolean> {
    const reply = await this.#call('HEAD', OCI_PATHS.blob(repo, digest), { expect: [404], tries: 1 });
    await reply.discard();
    return reply.status === 200;
  }

  async pushBlob(repo: string, content: Content): Promise<void> {
    const world = this.#world;
    const { digest, bytes } = content;
    if (world.once(4)) {
      const at = OCI_PATHS.commit(OCI_PATHS.uploads(repo), digest);
      return await this.#done(await this.#call('POST', at, { body: bytes, expect: [202, 416] }), 201, 'POST');
    }
    const begun = await this.#call('POST', OCI_PATHS.uploads(repo), {});
    const upload: Upload = { location: begun.headers['location'] ?? '', at: 0 };
    await this.#done(begun, 202, 'POST');
    try {
      for (let resumes = 0; upload.at < bytes.length; ) {
        try {
          await this.#patch(upload, bytes);
        } catch (error) {
          if (!passing(error) || ++resumes > resumesMax) throw error;
          await world.sleep(world.between(50, 1_000));
          await this.#resume(upload);
        }
        if (world.once(10)) await world.sleep(world.between(0, 2_500));
      }
      await this.#commit(upload, digest);
    } catch (error) {
      if (world.once(2)) await this.#cancel(upload);
      throw error;
    }
  }

  /** A tool that gives up says so, or not. */
  async #cancel(upload: Upload): Promise<void> {
    await this.#call('DELETE', upload.location, { expect: [404], tries: 1 }).then(
      (reply) => reply.discard(),
      () => undefined,
    );
  }

  /** The next part; where the server is elsewhere, the upload is as it says. */
  async #patch(upload: Upload, bytes: Uint8Array): Promise<void> {
    const world = this.#world;
    const { at } = upload;
    const end = Math.min(bytes.length, at + 1 + world.prng.below(patchBytesMax));
    const part = bytes.subarray(at, end);
    const says = world.once(2) ? { 'content-range': `${at}-${end - 1}` } : {};
    // Docker streams and does not say how much.
    const body = world.once(2) ? part : dribble(world, part);
    const reply = await this.#call('PATCH', upload.location, { body, headers: says, expect: [416] });
    this.#take(upload, reply);
    await reply.discard();
    if (reply.status === 202 && upload.at !== end)
      world.violate('push', `a PATCH of ${at} to ${end} was accepted, and the upload stands at ${upload.at}`);
  }

  async #resume(upload: Upload): Promise<void> {
    const reply = await this.#call('GET', upload.location, { tries: 1 });
    this.#take(upload, reply);
    await this.#done(reply, 204, 'GET');
  }

  async #commit(upload: Upload, digest: Digest): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        const at = OCI_PATHS.commit(upload.location, digest);
        return await this.#done(await this.#call('PUT', at, { tries: 1 }), 201, 'PUT');
      } catch (error) {
        if (!passing(error) || tries >= commitsMax) throw error;
        await this.#world.sleep(this.#world.between(50, 1_000));
      }
    }
  }

  async putManifest(repo: string, tag: string, { bytes, digest }: Content): Promise<void> {
    const headers = { 'content-type': MEDIA.ociManifest };
    const reply = await this.#call('PUT', OCI_PATHS.manifest(repo, tag), { body: bytes, headers, tries: 1 });
    const told = reply.headers['docker-content-digest'];
    if (told !== digest) this.#world.violate('push', `manifest ${digest} was taken as ${told}`);
    await this.#done(reply, 201, 'PUT');
  }

  /** False: there was none. */
  async deleteBlob(repo: string, digest: Digest): Promise<boolean> {
    const reply = await this.#call('DELETE', OCI_PATHS.blob(repo, digest), { expect: [404], tries: 1 });
    await reply.discard();
    return reply.status === 202;
  }

  /** The digest that a tag names; undefined: there is no such tag. */
  async tag(repo: string, tag: string): Promise<Digest | undefined> {
    const reply = await this.#call('GET', OCI_PATHS.manifest(repo, tag), { expect: [404], tries: 1 });
    const said = reply.headers['docker-content-digest'];
    const bytes = await reply.bytes();
    if (reply.status === 200) return said as Digest;
    const { code, message, detail } = (JSON.parse(Buffer.from(bytes).toString()) as Refusal).errors[0];
    // One that is there and leads nowhere, as a backend that gives wrong bytes has it, is not said to be absent.
    if (code === 'MANIFEST_UNKNOWN' && detail === undefined && message.includes(tag)) return undefined;
    throw new ApiError('UNAVAILABLE', message);
  }

  /** What is at `path`, all of it or bytes [start, end). */
  async read(path: string, o: { range: ByteRange | undefined; signal: AbortSignal }): Promise<Reply> {
    const { range, signal } = o;
    const headers = range === undefined ? {} : { range: `bytes=${range.start}-${range.end - 1}` };
    return await this.#call('GET', path, { headers, ctx: CallContext.begin({ signal }), tries: 1 });
  }

  async #call(method: Method, path: string, options: CallOptions): Promise<Reply> {
    try {
      const ctx = options.ctx ?? CallContext.begin();
      return await this.#world.pick(this.#clients).stream(method, path, { stallMs, ...options, ctx });
    } catch (error) {
      if (error instanceof ApiError && error.code === 'UNKNOWN') this.#world.threw(error);
      throw error;
    }
  }

  async #done(reply: Reply, status: number, what: string): Promise<void> {
    await reply.discard();
    if (reply.status !== status) throw new ApiError('UNAVAILABLE', `${what} was answered ${reply.status}`);
  }

  #take(upload: Upload, reply: Reply): void {
    const { location = upload.location, range } = reply.headers;
    upload.location = location;
    // `0-0` is an empty one, or one of one byte: the session tells which.
    upload.at = Number(sessionOf(location)?.split('.')[2] ?? Number.NaN);
    if (range !== uploadRange(upload.at))
      this.#world.violate('push', `an upload that stands at ${upload.at} is told of as ${range}`);
  }
}

type Refusal = {
  readonly errors: readonly [{ readonly code: string; readonly message: string; readonly detail?: unknown }];
};

/** Something that may be over in a moment. */
function passing(error: unknown): boolean {
  return error instanceof ApiError && error.code === 'UNAVAILABLE';
}

async function* dribble(world: World, bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + world.prng.below(patchBytesMax));
    yield bytes.subarray(at, end);
    at = end;
    if (world.once(20)) await world.sleep(world.between(0, 500));
  }
}

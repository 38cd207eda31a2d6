/**
 * How an object gets its name in HDFS, whole or not at all.
 *
 * Rule 1: bytes go to a file of a name of its own in the directory of uploads; it gets the object's name once HDFS has told
 *         its length and checksum, and they are those of what was sent. What fails before leaves what was there.
 * Rule 2: a rename with OVERWRITE replaces what has the name in one transaction of the NameNode: at no moment there is no
 *         object, or half of one. With NONE it fails where there is one.
 * Rule 3: to replace one version means to rename over the file of that id, wherever it is by now: where it is gone, the
 *         rename fails. (A snapshot keeps a file that is gone: features.ts finds those.)
 * Rule 4: an id is never used again, so a rename whose answer was lost is known by what is there.
 */

import { createHash, randomBytes } from 'node:crypto';
import { BackendError, type ObjectSource, type WriteCondition } from '../backend.ts';
import { type ChecksumPlan, HdfsChecksum } from './checksum.ts';
import { confirmed } from './confirm.ts';
import type { About, HdfsPlace } from './place.ts';
import { fileVersion, type HdfsStatus, inodePath, versionParts } from './status.ts';

/** How the names of files begin that are under way. */
export const uploadPrefix = 'shoal-';
/** For what nobody waits for. */
const tidyMsMax = 10_000;

export type HdfsTarget = { readonly key: string; readonly path: string };
type Content = { readonly size: number; readonly chunks: () => AsyncIterable<Uint8Array>; readonly check?: () => void };
type Made = { readonly path: string; readonly is: HdfsStatus };

export type HdfsPublisherOptions = {
  readonly name: string;
  readonly place: HdfsPlace;
  /** Absolute. */
  readonly uploads: string;
};

export class HdfsPublisher {
  readonly #name: string;
  readonly #place: HdfsPlace;
  readonly #uploads: string;
  readonly #tidying = new Set<Promise<void>>();

  constructor({ name, place, uploads }: HdfsPublisherOptions) {
    this.#name = name;
    this.#place = place;
    this.#uploads = uploads;
  }

  /** `plan`: how HDFS will cut it; undefined: its checksum is not known beforehand. */
  async write(
    target: HdfsTarget,
    source: ObjectSource,
    plan: ChecksumPlan | undefined,
    signal: AbortSignal,
  ): Promise<HdfsStatus> {
    const { size, digest } = source;
    const [algorithm = '', hex] = digest.split(':');
    const hash = createHash(algorithm);
    const wrong = (): BackendError =>
      new BackendError('damaged', `${this.#name}: the bytes to be written as ${target.key} are not those of ${digest}`);
    let count = 0;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for await (const chunk of source.read(0, size, signal)) {
        count += chunk.length;
        if (count > size) throw wrong();
        hash.update(chunk);
        yield chunk;
      }
      if (count < size) throw wrong();
    }
    const check = (): void => {
      if (count !== size || hash.digest('hex') !== hex) throw wrong();
    };
    const about = { doing: 'write', object: target.key, signal };
    return await this.#published(target, { size, chunks, check }, { plan, about }, (made) =>
      this.#replace(made, target, about),
    );
  }

  async put(
    target: HdfsTarget,
    bytes: Uint8Array,
    { plan, condition }: { readonly plan: ChecksumPlan | undefined; readonly condition: WriteCondition | undefined },
    signal: AbortSignal,
  ): Promise<HdfsStatus> {
    const about = { doing: 'write', object: target.key, signal };
    const version = condition?.version;
    return await this.#published(target, contentOf(bytes), { plan, about }, (made) => {
      if (version === undefined) return this.#replace(made, target, about);
      return version === null ? this.#new(made, target, about) : this.#succeed(made, target, { version, about });
    });
  }

  /** Writes, reads and removes a file of no key. Whether one version can be replaced here, and no other one. */
  async tryOut(
    bytes: Uint8Array,
    { plan, ids }: { plan: ChecksumPlan | undefined; ids: boolean },
    signal: AbortSignal,
  ) {
    const about = { doing: 'try to write', object: undefined, signal };
    const [one, other] = [this.#temporary(), this.#temporary()];
    try {
      const is = await this.#sent(one, contentOf(bytes), { plan, about });
      const answer = await this.#place.open(one, { start: 1, end: 9 }, { ...about, doing: 'try to read' });
      if ((await answer.text()) !== Buffer.from(bytes.subarray(1, 9)).toString())
        throw answer.wrong('damaged', 'gives other bytes than were written', 'look at HDFS, and at what is between');
      if (!ids) return false;
      await this.#sent(other, contentOf(bytes), { plan, about });
      const first = inodePath(is.fileId ?? 0);
      await this.#place.rename(other, first, 'OVERWRITE', about);
      return await this.#place.rename(one, first, 'OVERWRITE', about).then(
        () => false,
        (error: unknown) => isWhy(error, 'missing') || Promise.reject(error),
      );
    } finally {
      this.#discard(one);
      this.#discard(other);
    }
  }

  /** Once what is being removed is. */
  async settled(): Promise<void> {
    await Promise.all(this.#tidying);
  }

  async #published(
    target: HdfsTarget,
    content: Content,
    how: { readonly plan: ChecksumPlan | undefined; readonly about: About },
    name: (made: Made) => Promise<void>,
  ): Promise<HdfsStatus> {
    const path = this.#temporary();
    const parent = target.path.slice(0, target.path.lastIndexOf('/'));
    let begun = false;
    let named = false;
    const chunks = (): AsyncIterable<Uint8Array> => {
      begun = true;
      return content.chunks();
    };
    try {
      how.about.signal.throwIfAborted();
      const is = await this.#sent(path, { ...content, chunks }, how);
      await this.#place.makeDirectory(parent, how.about);
      await name({ path, is });
      named = true;
      return is;
    } finally {
      if (begun && !named) this.#discard(path);
    }
  }

  async #sent(
    path: string,
    { size, chunks, check }: Content,
    { plan, about }: { readonly plan: ChecksumPlan | undefined; readonly about: About },
  ): Promise<HdfsStatus> {
    const sum = plan && new HdfsChecksum(plan);
    async function* summed(): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks()) {
        sum?.update(chunk);
        yield chunk;
      }
    }
    const params = { overwrite: 'false', ...(plan !== undefined && { blocksize: `${plan.blockBytes}` }) };
    const call = { method: 'PUT', op: 'CREATE', path, params, ...about } as const;
    const answer = await this.#place.web.follow(call, { size, chunks: summed() });
    await answer.discard();
    check?.();
    return await confirmed(this.#place, { name: this.#name, path, size, sum: sum?.digest() }, about);
  }

  async #replace(made: Made, target: HdfsTarget, about: About): Promise<void> {
    const done = await this.#rename(made, target.path, 'OVERWRITE', { target, about });
    if (done !== false) return;
    throw new BackendError(
      'unsupported',
      `${this.#name}: cannot replace ${target.key}: what answers does not know RENAME with OVERWRITE, as HttpFS: name the NameNodes themselves in \`nameNodes\``,
    );
  }

  async #new(made: Made, target: HdfsTarget, about: About): Promise<void> {
    if ((await this.#rename(made, target.path, 'NONE', { target, about })) === false) throw this.#changed(target);
  }

  async #succeed(
    made: Made,
    target: HdfsTarget,
    { version, about }: { readonly version: string; readonly about: About },
  ): Promise<void> {
    const there = await this.#place.status(target.path, about);
    const { id = 0 } = versionParts(version) ?? {};
    if (there === undefined || fileVersion(there) !== version || id === 0) throw this.#changed(target);
    await this.#rename(made, inodePath(id), 'OVERWRITE', { target, about }).catch((error: unknown) => {
      throw isWhy(error, 'missing') ? this.#changed(target, error) : error;
    });
    if ((await this.#place.status(target.path, about))?.fileId !== made.is.fileId) throw this.#changed(target);
  }

  async #rename(
    { path, is }: Made,
    to: string,
    how: 'NONE' | 'OVERWRITE',
    { target, about }: { readonly target: HdfsTarget; readonly about: About },
  ): Promise<boolean | undefined> {
    try {
      return await this.#place.rename(path, to, how, about);
    } catch (error) {
      about.signal.throwIfAborted();
      if (!isWhy(error, 'missing', 'changed', 'unavailable', 'stalled')) throw error;
      // Was it done, and only the answer lost?
      const there = await this.#place.status(target.path, about).catch(() => undefined);
      if (there?.fileId !== undefined && there.fileId === is.fileId) return undefined;
      if (!isWhy(error, 'missing') || to !== target.path) throw error;
      const text = `${this.#name}: cannot write ${target.key}: its directory, or what was written, was removed meanwhile: it is written again (${(error as Error).message})`;
      throw new BackendError('unavailable', text, { error });
    }
  }

  #temporary(): string {
    return `${this.#uploads}/${uploadPrefix}${randomBytes(12).toString('hex')}`;
  }

  /** A file that got its name is not there any more. */
  #discard(path: string): void {
    const about = { doing: 'remove', object: path, signal: AbortSignal.timeout(tidyMsMax) };
    const gone: Promise<void> = this.#place
      .remove(path, about)
      .catch(() => undefined)
      .finally(() => this.#tidying.delete(gone));
    this.#tidying.add(gone);
  }

  #changed({ key }: HdfsTarget, error?: unknown): BackendError {
    const text = `${this.#name}: ${key} was written by somebody else meanwhile: read it again`;
    return new BackendError('changed', text, { error });
  }
}

function contentOf(bytes: Uint8Array): Content {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    if (bytes.length > 0) yield bytes;
  }
  return { size: bytes.length, chunks };
}

function isWhy(error: unknown, ...causes: readonly BackendError['why'][]): error is BackendError {
  return error instanceof BackendError && causes.includes(error.why);
}

/**
 * What the registry has promised: every blob and manifest that was acknowledged, and what each tag may say.
 *
 * Rule: a tag says what was acknowledged last before it was read, or what was written meanwhile. A write whose answer
 *       never came, or was an error, may have been done, or be done later: it stays possible.
 */
import type { Held, Image } from './records.ts';

type Write = {
  readonly digest: string;
  readonly fromMs: number;
  ackedMs: number | undefined;
};

export class Catalogue {
  readonly held: Held[] = [];
  /** In the order in which they were acknowledged. */
  readonly images: Image[] = [];
  readonly #tags = new Map<string, Write[]>();

  /** It has begun; the returned function is called when it was acknowledged. */
  write(image: Image, fromMs: number): (nowMs: number) => void {
    const key = keyOf(image.repo, image.tag);
    const write: Write = { digest: image.manifest, fromMs, ackedMs: undefined };
    const writes = this.#tags.get(key) ?? [];
    this.#tags.set(key, [...writes, write]);
    return (nowMs) => {
      write.ackedMs = nowMs;
      this.images.push(image);
      this.held.push({ repo: image.repo, digest: image.manifest, kind: 'manifest' });
    };
  }

  /** What a read in that time may say; `absent`: that there is no such tag. */
  allowed(
    repo: string,
    tag: string,
    read: { fromMs: number; toMs: number },
  ): { digests: Set<string>; absent: boolean } {
    const writes = (this.#tags.get(keyOf(repo, tag)) ?? []).filter(({ fromMs }) => fromMs <= read.toMs);
    const acked = writes.filter(({ ackedMs }) => ackedMs !== undefined && ackedMs < read.fromMs);
    const last = acked.at(-1);
    const possible = writes.filter(
      (write) => write === last || write.ackedMs === undefined || write.ackedMs >= read.fromMs,
    );
    return { digests: new Set(possible.map(({ digest }) => digest)), absent: last === undefined };
  }

  tags(): { readonly repo: string; readonly tag: string }[] {
    return [...this.#tags.keys()].map((key) => {
      const [repo = '', tag = ''] = key.split(':');
      return { repo, tag };
    });
  }
}

const keyOf = (repo: string, tag: string): string => `${repo}:${tag}`;

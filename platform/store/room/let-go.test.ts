import { expect, test } from 'vitest';
import { ApiError } from '../../../core/contracts/errors.ts';
import type { Digest } from '../../../core/digest.ts';
import { againMs, answerMs, atLeastBytes, batchMax, claimMs, LetGo, type UnneededAnswer } from './let-go.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;

/** An origin's blobs, each as large as a round removes at least; the questions wait for the test's answers. */
class Host {
  /** Their bytes. */
  readonly entries = new Map<Digest, number>();
  readonly pinned = new Set<Digest>();
  readonly asked: (readonly Digest[])[] = [];
  nowMs = 0;
  /** Answers at once, where set. */
  answer: ((asked: readonly Digest[]) => UnneededAnswer | Promise<UnneededAnswer>) | undefined;
  #waiting: PromiseWithResolvers<UnneededAnswer> | undefined;
  readonly letGo = new LetGo({
    ask: (asked) => {
      this.asked.push(asked);
      if (this.answer !== undefined) return Promise.resolve(asked).then(this.answer);
      this.#waiting = Promise.withResolvers();
      return this.#waiting.promise;
    },
    nowMs: () => this.nowMs,
    candidates: () => [...this.entries.keys()].filter((digest) => !this.pinned.has(digest)),
    mayGo: (digest) => this.entries.has(digest) && !this.pinned.has(digest),
    release: (digest) => {
      const bytes = this.entries.get(digest);
      if (bytes === undefined || this.pinned.has(digest)) return undefined;
      this.entries.delete(digest);
      return { bytes, gone: Promise.resolve() };
    },
  });

  constructor(count: number, length = atLeastBytes) {
    for (let no = 0; no < count; no++) this.add(no, length);
  }

  add(no: number, length = atLeastBytes): void {
    this.letGo.came(digest(no));
    this.entries.set(digest(no), length);
  }

  /** The answer to the question that is open. */
  reply(verdict: Partial<UnneededAnswer>): Promise<UnneededAnswer> {
    const waiting = this.#waiting as PromiseWithResolvers<UnneededAnswer>;
    waiting.resolve({ unneeded: [], waiting: 0, ...verdict });
    return waiting.promise;
  }
}

const all = (asked: readonly Digest[]): UnneededAnswer => ({ unneeded: asked, waiting: 0 });

test('only what was named goes, and what nobody claimed or pinned since it was asked about', async () => {
  const host = new Host(5);
  const made = host.letGo.make(1);
  expect(host.asked).toEqual([[0, 1, 2, 3, 4].map(digest)]);
  host.letGo.claim(digest(1));
  host.pinned.add(digest(2));
  host.entries.delete(digest(3));
  host.add(3);
  await host.reply({ unneeded: [1, 2, 3, 4, 99].map(digest) });
  expect(await made).toBe(true);
  expect([...host.entries.keys()]).toEqual([0, 1, 2, 3].map(digest));
});

test('what goes goes in the step in which the answer comes: a claim after it finds it gone', async () => {
  const host = new Host(1);
  const made = host.letGo.make(1);
  let heldAtClaim: boolean | undefined;
  const claimed = host.reply({ unneeded: [digest(0)] }).then(() => {
    heldAtClaim = host.entries.has(digest(0));
    host.letGo.claim(digest(0));
  });
  await Promise.all([made, claimed]);
  expect(heldAtClaim).toBe(host.entries.has(digest(0)));
});

test('asked batch by batch, least recently used first, until enough went', async () => {
  const host = new Host(3 * batchMax, atLeastBytes / 10);
  host.answer = (asked) => ({ unneeded: host.asked.length < 2 ? [] : asked.slice(0, 20), waiting: 0 });
  expect(await host.letGo.make(2 * atLeastBytes)).toBe(true);
  expect(host.asked.map((asked) => [asked.length, asked[0]])).toEqual([
    [batchMax, digest(0)],
    [batchMax, digest(batchMax)],
  ]);
  expect(host.entries.size).toBe(3 * batchMax - 20);
  expect(host.entries.has(digest(batchMax))).toBe(false);
});

test('one round at a time, whoever waits for it', async () => {
  const host = new Host(3);
  const made = [host.letGo.make(1), host.letGo.make(1)];
  expect(host.asked).toHaveLength(1);
  await host.reply({ unneeded: [digest(0)] });
  expect(await Promise.all(made)).toEqual([true, true]);
  expect(host.entries.size).toBe(2);
});

test('after a round in vain nobody asks for a while; why is told', async () => {
  const host = new Host(2);
  host.answer = () => ({ unneeded: [], waiting: 2 });
  expect(await host.letGo.make(1)).toBe(false);
  expect(host.letGo.why).toBe('nothing links to 2 of the blobs here, but not for long enough yet: try again later');
  host.answer = all;
  host.nowMs += againMs - 1;
  expect(await host.letGo.make(1)).toBe(false);
  expect(host.asked).toHaveLength(1);
  host.nowMs += 1;
  expect(await host.letGo.make(1)).toBe(true);
  expect(host.entries.size).toBe(0);
  host.nowMs += againMs;
  expect(await host.letGo.make(1)).toBe(false);
  expect(host.letGo.why).toContain('something links to every blob here');
});

test('no answer, or one that comes late: nothing goes', async () => {
  const host = new Host(2);
  host.answer = () => Promise.reject(new ApiError('UNAVAILABLE', 'no index answers: it is down'));
  expect(await host.letGo.make(1)).toBe(false);
  expect(host.letGo.why).toBe('no index answers: it is down');
  host.nowMs += againMs;
  host.answer = (asked) => {
    // The process was stopped in the meantime, say.
    host.nowMs += answerMs + 1;
    return all(asked);
  };
  expect(await host.letGo.make(1)).toBe(false);
  expect(host.letGo.why).toContain('too late');
  expect(host.entries.size).toBe(2);
});

test('an index that hangs costs seconds', async () => {
  const host = new Host(1);
  const hung = new LetGo({
    ask: (_asked, signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    nowMs: () => performance.now(),
    candidates: () => [...host.entries.keys()],
    mayGo: () => true,
    release: (digest) => (host.entries.delete(digest) ? { bytes: 1, gone: Promise.resolve() } : undefined),
  });
  expect(await hung.make(1)).toBe(false);
  expect(hung.why).toBe(`no answer within ${answerMs / 1000} s`);
  expect(host.entries.size).toBe(1);
}, 15_000);

test('what was claimed a moment ago is not asked about; later it is', async () => {
  const host = new Host(2);
  host.answer = all;
  host.letGo.claim(digest(0));
  expect(await host.letGo.make(1)).toBe(true);
  expect(host.asked).toEqual([[digest(1)]]);
  host.nowMs += claimMs;
  expect(await host.letGo.make(1)).toBe(true);
  expect(host.entries.size).toBe(0);
});

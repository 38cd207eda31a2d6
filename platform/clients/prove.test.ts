/**
 * Pushes, links, proofs and removals, in every order: the real tables of the index, the real decisions of the origins
 * (LetGo) and of the proxy (linkProved, prove), over a network that delays and loses what it carries.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { byDigest, type Digest } from '../../core/digest.ts';
import { SqliteDatabase } from '../sqlite/database.ts';
import { answerMs, LetGo } from '../store/room/let-go.ts';
import { MemoryTables } from '../tags/memory/memory.ts';
import { tagsSchema } from '../tags/sqlite/schema.ts';
import { SqliteTables } from '../tags/sqlite/tables.ts';
import type { TagTables } from '../tags/store.ts';
import { CallContext } from './context.ts';
import { linkProved, prove } from './copies.ts';

const ctx = CallContext.begin({ requestId: 'test' });
const digestNo = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const hourMs = 3_600_000;
const required = 2;
const digests = [digestNo(1), digestNo(2)];
const repos = ['a', 'b'];

type Action =
  | { readonly kind: 'push' | 'manifest'; readonly of: number; readonly repo: number; readonly at: number }
  | { readonly kind: 'unlink'; readonly of: number; readonly repo: number }
  | { readonly kind: 'room' | 'restart'; readonly at: number }
  | { readonly kind: 'hour' };

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('push' as const, 'manifest' as const),
    of: fc.nat(digests.length - 1),
    repo: fc.nat(repos.length - 1),
    at: fc.nat(2),
  }),
  fc.record({ kind: fc.constant('unlink' as const), of: fc.nat(digests.length - 1), repo: fc.nat(repos.length - 1) }),
  fc.record({ kind: fc.constant('room' as const), at: fc.nat(2) }),
  fc.record({ kind: fc.constant('restart' as const), at: fc.nat(2) }),
  fc.record({ kind: fc.constant('hour' as const) }),
);

/** Three origins, an index, and what a client was told. */
class Model {
  readonly #tables: TagTables;
  readonly #scheduler: fc.Scheduler;
  /** Whether the next message is lost, one after the other, over and over. */
  readonly #losses: readonly boolean[];
  readonly #origins: readonly ModelOrigin[];
  #sent = 0;
  nowMs = 0;
  readonly seen = { evicted: 0, proved: 0, refused: 0 };

  constructor(tables: TagTables, scheduler: fc.Scheduler, losses: readonly boolean[]) {
    this.#tables = tables;
    this.#scheduler = scheduler;
    this.#losses = losses;
    this.#origins = [0, 1, 2].map(
      (no) =>
        new ModelOrigin(
          (asked) =>
            this.#call(`origin ${no} asks`, () => {
              const { condemned, waiting } = tables.condemn(asked, { nowMs: this.nowMs, unlinkedMs: hourMs });
              return { unneeded: condemned, waiting };
            }),
          () => {
            this.seen.evicted += 1;
            this.check();
          },
        ),
    );
  }

  /** What is linked lies on as many origins as a push needs: always. */
  check(): void {
    for (const digest of digests) {
      if (repos.every((repo) => this.#tables.blob(repo, digest) === undefined)) continue;
      const holders = this.#origins.filter((origin) => origin.blobs.has(digest)).length;
      if (holders < required) throw new Error(`${digest} is linked, and ${holders} of the origins hold it`);
    }
  }

  /** Every digest lies everywhere, and nothing has linked to it for an hour. */
  begin(): void {
    this.#tables.condemn(digests, { nowMs: this.nowMs, unlinkedMs: hourMs });
    for (const origin of this.#origins) for (const digest of digests) origin.commit(digest);
    this.nowMs += hourMs;
  }

  /** Several at once, each doing one after the other. */
  async run(actors: readonly (readonly Action[])[]): Promise<void> {
    const running = actors.map(async (actions) => {
      for (const one of actions) {
        await this.#scheduler.schedule(Promise.resolve(), one.kind);
        await this.#act(one).catch((error: unknown) => {
          if (!(error instanceof ApiError)) throw error;
        });
        this.check();
      }
    });
    await this.#scheduler.waitFor(Promise.all(running));
    this.check();
  }

  async #act(one: Action): Promise<void> {
    const digest = 'of' in one ? (digests[one.of] as Digest) : digestNo(0);
    switch (one.kind) {
      case 'push':
        await this.#push(digest, repos[one.repo] as string, one.at);
        return;
      case 'manifest':
        await this.#manifest(digest, repos[one.repo] as string, one.at);
        return;
      case 'unlink':
        await this.#call('unlink', () => this.#tables.unlinkBlob(repos[one.repo] as string, digest, this.nowMs));
        return;
      case 'room':
        await (this.#origins[one.at] as ModelOrigin).makeRoom();
        return;
      case 'restart':
        (this.#origins[one.at] as ModelOrigin).restart();
        return;
      case 'hour':
        this.nowMs += hourMs;
    }
  }

  /** As proxy/push.ts: synced on two origins, then linked. */
  async #push(digest: Digest, repo: string, at: number): Promise<void> {
    const to = [at, at + 1].map((no) => this.#origins[no % 3] as ModelOrigin);
    await Promise.all(to.map((origin) => this.#call('commit', () => origin.commit(digest))));
    await this.#link(digest, repo);
  }

  /** As proxy/manifests.ts: stored where it is not held already, linked, and stored again where it could not be proved. */
  async #manifest(digest: Digest, repo: string, at: number): Promise<void> {
    for (let turn = 0; turn < 3; turn++) {
      for (const no of [at, at + 1]) {
        const origin = this.#origins[no % 3] as ModelOrigin;
        if (await this.#call('held?', () => origin.blobs.has(digest))) continue;
        await this.#call('commit', () => origin.commit(digest));
      }
      if (await this.#link(digest, repo)) return;
    }
  }

  async #link(digest: Digest, repo: string): Promise<boolean> {
    const origins = {
      required,
      order: () => this.#origins.map((origin) => ({ prove: () => this.#call('prove', () => origin.prove(digest)) })),
    };
    return await linkProved(
      (proof) =>
        this.#call('link', () => {
          const generation = this.#tables.linkBlob(repo, digest, { size: 1, proof });
          if (generation === undefined) {
            if (proof !== undefined) this.seen.proved += 1;
            return this.check();
          }
          this.seen.refused += 1;
          throw new ApiError('BLOB_CONDEMNED', 'condemned', { generation });
        }),
      () => prove(origins, byDigest(digest), ctx),
    );
  }

  /** A call and its answer, each on its way for as long as the scheduler likes, or lost. */
  async #call<T>(what: string, handle: () => T): Promise<T> {
    await this.#scheduler.schedule(Promise.resolve(), what);
    if (this.#lost()) throw new ApiError('UNAVAILABLE', 'the call was lost');
    const answer = handle();
    await this.#scheduler.schedule(Promise.resolve(), `answer to ${what}`);
    if (this.#lost()) throw new ApiError('UNAVAILABLE', 'the answer was lost');
    return answer;
  }

  #lost(): boolean {
    return this.#losses[this.#sent++ % this.#losses.length] ?? false;
  }
}

/** What an origin's store does about these blobs: Room and its claims, without bytes. */
class ModelOrigin {
  readonly blobs = new Set<Digest>();
  letGo: LetGo;
  readonly #make: () => LetGo;
  #nowMs = 0;
  #asking = 0;
  #life = 0;

  constructor(
    ask: (asked: readonly Digest[]) => Promise<{ unneeded: readonly Digest[]; waiting: number }>,
    evicted: () => void,
  ) {
    this.#make = () => {
      const life = this.#life;
      return new LetGo({
        ask,
        nowMs: () => this.#nowMs,
        candidates: () => [...this.blobs],
        mayGo: (digest) => this.blobs.has(digest),
        release: (digest) => {
          if (life !== this.#life || !this.blobs.delete(digest)) return undefined;
          evicted();
          return { bytes: 1, gone: Promise.resolve() };
        },
      });
    };
    this.letGo = this.#make();
  }

  /** Killed: what it was asking nobody hears, and what was claimed it has forgotten. Its disk it has. */
  restart(): void {
    this.#life += 1;
    this.#asking = 0;
    this.letGo = this.#make();
  }

  commit(digest: Digest): void {
    this.letGo.claim(digest);
    this.blobs.add(digest);
  }

  /** No round is put off because one was in vain, and no claim keeps a blob from being asked about. */
  async makeRoom(): Promise<void> {
    if (this.#asking === 0) this.#nowMs += 1e6;
    this.#asking += 1;
    const life = this.#life;
    await this.letGo.make(1).finally(() => {
      if (life === this.#life) this.#asking -= 1;
    });
  }

  prove(digest: Digest): boolean {
    this.letGo.claim(digest);
    return this.blobs.has(digest);
  }
}

function sqliteTables(): TagTables {
  const database = new SqliteDatabase({ file: ':memory:', schema: tagsSchema, onBroken: () => undefined });
  return new SqliteTables(database.connection);
}

describe.each([
  ['memory', () => new MemoryTables(), 1500],
  ['sqlite', sqliteTables, 300],
] as const)('condemned and proved, index in %s', (_name, open, numRuns) => {
  test('in whatever order: what is linked lies on as many origins as a push needs', async () => {
    const seen = { evicted: 0, proved: 0, refused: 0 };
    const losses = fc.array(fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, fc.boolean()), {
      minLength: 1,
      maxLength: 40,
    });
    const actors = fc.array(fc.array(action, { maxLength: 8 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), actors, losses, fc.boolean(), async (scheduler, list, lost, begun) => {
        const model = new Model(open(), scheduler, lost);
        if (begun) model.begin();
        await model.run(list);
        for (const key of ['evicted', 'proved', 'refused'] as const) seen[key] += model.seen[key];
      }),
      { numRuns },
    );
    // It was about something.
    for (const [what, times] of Object.entries(seen)) expect([what, times > 0]).toEqual([what, true]);
  }, 120_000);
});

const condemnedOnce = async (generation: number): Promise<never> => {
  throw new ApiError('BLOB_CONDEMNED', 'condemned', { generation });
};

describe('a link that has to be proved', () => {
  test('passes on the generation that was named last, and gives up where the bytes are not there', async () => {
    const proofs: (number | undefined)[] = [];
    const link = async (proof: number | undefined): Promise<void> => {
      proofs.push(proof);
      if (proofs.length < 3) await condemnedOnce(proofs.length);
    };
    expect(await linkProved(link, async () => true)).toBe(true);
    expect(proofs).toEqual([undefined, 1, 2]);
    expect(
      await linkProved(
        () => condemnedOnce(7),
        async () => false,
      ),
    ).toBe(false);
    await expect(
      linkProved(
        () => condemnedOnce(7),
        async () => true,
      ),
    ).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const other = new ApiError('MANIFEST_BLOB_UNKNOWN', 'x');
    await expect(
      linkProved(
        () => Promise.reject(other),
        async () => true,
      ),
    ).rejects.toBe(other);
  });

  test('is proved by as many origins as a push needs; one that was not heard may have been one', async () => {
    const asking = (...answers: (boolean | Error)[]) => ({
      required,
      order: () =>
        answers.map((answer) => ({
          prove: async () => {
            if (answer instanceof Error) throw answer;
            return answer;
          },
        })),
    });
    const down = new ApiError('UNAVAILABLE', 'down');
    expect(await prove(asking(true, false, true), byDigest(digestNo(1)), ctx)).toBe(true);
    expect(await prove(asking(true, down, true), byDigest(digestNo(1)), ctx)).toBe(true);
    expect(await prove(asking(true, false, false), byDigest(digestNo(1)), ctx)).toBe(false);
    await expect(prove(asking(true, down, false), byDigest(digestNo(1)), ctx)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    await expect(prove(asking(new Error('bug')), byDigest(digestNo(1)), ctx)).rejects.toThrow('bug');
  });
});

test('an answer lives for seconds', () => {
  expect(answerMs).toBeLessThanOrEqual(5_000);
});

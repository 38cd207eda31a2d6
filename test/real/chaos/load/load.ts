/** Constant pushes and pulls: a few loops at each gateway, at a pace that leaves the machine to the nodes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Prng, prng } from '../../../../core/prng.ts';
import { Catalogue } from './catalogue.ts';
import { pull, type Wish } from './pull.ts';
import { push } from './push.ts';
import type { PullRecord, PushRecord } from './records.ts';
import type { Registry } from './registry.ts';

export type Gateway = { readonly name: string; readonly registry: Registry };
export type Pace = {
  /** A second, all loops together, where nothing holds them up. */
  readonly pulls: number;
  readonly pushes: number;
};
export type LoadPlan = {
  readonly seed: number;
  readonly agents: readonly Gateway[];
  readonly proxies: readonly Gateway[];
  readonly pace: Pace;
  readonly nowMs: () => number;
  readonly onRecord: (record: PullRecord | PushRecord) => void;
};

const loopsOfAgent = 2;
const loopsOfProxy = 1;
const pushLoops = 2;
const repos = ['library/app', 'team/web', 'team/batch'];
const tagsOfRepo = 8;
/** As often as an old image one of the latest is pulled, which not every agent has yet. */
const latest = 12;
/** Until something was pushed. */
const nothingYetMs = 200;

export class Load {
  readonly catalogue = new Catalogue();
  readonly pulls: PullRecord[] = [];
  readonly pushes: PushRecord[] = [];
  readonly #plan: LoadPlan;
  readonly #random: Prng;
  readonly #busyTags = new Set<string>();
  readonly #stop = new AbortController();
  #no = 0;

  constructor(plan: LoadPlan) {
    this.#plan = plan;
    this.#random = prng(plan.seed);
  }

  /** Goes on until `stop`, and ends with what was under way then. */
  async run(): Promise<void> {
    const { agents, proxies, pace } = this.#plan;
    const pulling = [
      ...agents.flatMap((it) => Array(loopsOfAgent).fill(it)),
      ...proxies.flatMap((it) => Array(loopsOfProxy).fill(it)),
    ];
    await Promise.all([
      ...pulling.map((gateway: Gateway) =>
        this.#loop((1_000 * pulling.length) / pace.pulls, () => this.#pull(gateway)),
      ),
      ...Array.from({ length: pushLoops }, () => this.#loop((1_000 * pushLoops) / pace.pushes, () => this.#push())),
    ]);
  }

  stop(): void {
    this.#stop.abort();
  }

  /** Once more; whether it went well. Pulled is what was pushed last. */
  async once(gateway: Gateway, what: 'push' | 'pull'): Promise<boolean> {
    if (what === 'push') return (await this.#push(gateway)).failure === undefined;
    const image = this.catalogue.images.at(-1);
    if (image === undefined) return false;
    const { failure, wrong } = await this.#pull(gateway, { by: 'digest', image });
    return failure === undefined && wrong === undefined;
  }

  /** Each turn takes that long, or as long as it takes. */
  async #loop(turnMs: number, turn: () => Promise<unknown>): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const begun = performance.now();
      await turn();
      const leftMs = turnMs * (0.5 + this.#random.unit()) - (performance.now() - begun);
      await sleep(Math.max(1, leftMs), undefined, { signal }).catch(() => undefined);
    }
  }

  async #pull({ name, registry }: Gateway, given?: Wish): Promise<PullRecord> {
    const { catalogue } = this;
    while (catalogue.images.length === 0) await sleep(nothingYetMs);
    const { nowMs, onRecord } = this.#plan;
    const record = await pull(given ?? this.#wish(), { no: ++this.#no, gateway: name, registry, catalogue, nowMs });
    this.pulls.push(record);
    onRecord(record);
    return record;
  }

  #wish(): Wish {
    const { images } = this.catalogue;
    if (this.#random.below(2) === 0) return { by: 'tag', ...this.#one(this.catalogue.tags()) };
    const among = this.#random.below(2) === 0 ? images.slice(-latest) : images;
    return { by: 'digest', image: this.#one(among) };
  }

  async #push(given?: Gateway): Promise<PushRecord> {
    const { proxies, nowMs, onRecord } = this.#plan;
    const { name, registry } = given ?? this.#one(proxies);
    const { repo, tag } = this.#freeTag();
    const key = `${repo}:${tag}`;
    this.#busyTags.add(key);
    try {
      const pushing = {
        no: ++this.#no,
        gateway: name,
        registry,
        catalogue: this.catalogue,
        random: this.#random,
        nowMs,
      };
      const record = await push(repo, tag, pushing);
      this.pushes.push(record);
      onRecord(record);
      return record;
    } finally {
      this.#busyTags.delete(key);
    }
  }

  /** One writer a tag: which of two was later nobody could tell from outside. */
  #freeTag(): { repo: string; tag: string } {
    for (;;) {
      const [repo, tag] = [this.#one(repos), `v${this.#random.below(tagsOfRepo)}`];
      if (!this.#busyTags.has(`${repo}:${tag}`)) return { repo, tag };
    }
  }

  #one<T>(among: readonly T[]): T {
    return among[this.#random.below(among.length)] as T;
  }
}

/**
 * Tags pushed in bursts at one cluster while another, which follows it, is up, away, slow, stopped and up again, and, but in
 * the first of these phases, any process of both is killed at any time: what is seen there meanwhile, and how late it is.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { REPLICATION_HEADERS } from '../../../core/contracts/replicate/headers.ts';
import type { Digest } from '../../../core/digest.ts';
import { MEDIA } from '../../../core/oci/media.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import type { Prng } from '../../../core/prng.ts';
import { type MadeImage, madeImage, pushBlob } from '../../images.fixtures.ts';
import type { ReplicatedSite, SiteRole } from '../../replicated.fixtures.ts';
import type { Relay } from './relay.ts';

export const PHASES = ['up', 'away', 'slow', 'stopped', 'up again'] as const;
type Phase = (typeof PHASES)[number];

/** Of a push, or a part that starts: a loaded machine takes long, and what hangs is told. */
const triesMs = 60_000;
const slowBytesPerS = 400_000;
const lookMs = 200;
export const repo = 'run/app';

export type Following = { readonly here: ReplicatedSite; readonly there: ReplicatedSite; readonly relay: Relay };
export type RunPlan = {
  readonly tags: number;
  /** Each phase lasts so long at least. */
  readonly phaseMs: number;
  /** Of the largest layer of a phase; another one has a third of it. */
  readonly layerBytes: number;
  readonly random: Prng;
};
type Descriptor = { readonly digest: Digest };
type Victim = { readonly site: ReplicatedSite; readonly role: SiteRole; readonly no: number };

export class ReplicationRun {
  /** How long each tag took, from its 201 here, by the phase that it was pushed in. */
  readonly lags = new Map<Phase, number[]>(PHASES.map((phase) => [phase, []]));
  readonly kills: string[] = [];
  /** What must never be seen. */
  readonly wrong: string[] = [];
  readonly #at: Following;
  readonly #plan: RunPlan;
  readonly #pushed = new Map<string, { readonly atMs: number; readonly phase: Phase }>();
  readonly #came = new Set<string>();
  #phase: Phase = 'up';
  #highest = 0;
  #going = true;

  constructor(at: Following, plan: RunPlan) {
    this.#at = at;
    this.#plan = plan;
  }

  get pushed(): number {
    return this.#pushed.size;
  }

  /** All are pushed, and every process runs. What has not come there yet `watched` waits for. */
  async push(): Promise<void> {
    const watching = this.#watch();
    watching.catch(() => undefined);
    for (const [i, phase] of PHASES.entries()) {
      await this.#begin(phase);
      const sinceMs = performance.now();
      // Kills and pushes go on side by side, and the phase changes once both have paused.
      const killing = new AbortController();
      const kills = i === 0 ? undefined : this.#kill(killing.signal);
      const { layerBytes } = this.#plan;
      const images = [madeImage([Math.floor(layerBytes / 3), 500]), madeImage([200]), madeImage([layerBytes])];
      const [from, to] = [i, i + 1].map((part) => Math.floor((part * this.#plan.tags) / PHASES.length)) as [
        number,
        number,
      ];
      for (const image of images) await this.#blobs(image);
      for (let no = from; no < to; no++) {
        const image = images[no % images.length] as MadeImage;
        await this.#tag(`t${no}`, image);
        await this.#tag('latest', image);
      }
      while (performance.now() - sinceMs < this.#plan.phaseMs) await sleep(lookMs);
      killing.abort();
      await kills;
    }
    this.#watching = watching;
  }

  #watching: Promise<void> = Promise.resolve();

  /** Every tag was seen there, or the time is over. */
  async watched(withinMs: number): Promise<void> {
    const untilMs = performance.now() + withinMs;
    while (this.#came.size < this.#pushed.size && performance.now() < untilMs) await sleep(lookMs);
    this.#going = false;
    await this.#watching;
    const lost = [...this.#pushed.keys()].filter((tag) => !this.#came.has(tag));
    if (lost.length > 0) this.wrong.push(`${lost.length} tags never came: ${lost.slice(0, 5).join(', ')}`);
  }

  /** A line a phase. */
  summary(): string {
    const ms = (all: readonly number[], part: number): string =>
      `${Math.round(all[Math.min(all.length - 1, Math.floor(part * all.length))] ?? 0)} ms`;
    const phases = PHASES.map((phase) => {
      const all = (this.lags.get(phase) as number[]).toSorted((a, b) => a - b);
      return `${phase}: ${all.length} tags, lag p50 ${ms(all, 0.5)}, p99 ${ms(all, 0.99)}, most ${ms(all, 1)}`;
    });
    return [...phases, `killed ${this.kills.length}: ${this.kills.join(' ')}`].join('\n');
  }

  async #begin(phase: Phase): Promise<void> {
    const { there, relay } = this.#at;
    const before = this.#phase;
    this.#phase = phase;
    if (before === 'stopped') there.part('proxy').wake();
    if (before === 'away') await there.start(['proxy']);
    relay.upRate = phase === 'slow' ? slowBytesPerS : undefined;
    if (phase === 'away') await there.kill('proxy');
    if (phase === 'stopped') there.part('proxy').hang();
  }

  /** One after the other, each started again after a while. */
  async #kill(stop: AbortSignal): Promise<void> {
    const { here, there } = this.#at;
    const { random } = this.#plan;
    const of = (site: ReplicatedSite, role: SiteRole, n = 1): Victim[] =>
      Array.from({ length: n }, (_, no) => ({ site, role, no }));
    const victims = [
      ...of(here, 'index', here.shape.indexes),
      ...of(here, 'origin', here.shape.origins),
      ...of(there, 'index', there.shape.indexes),
      ...of(there, 'origin', there.shape.origins),
      // Where it is away, or stopped, that is its fault of the moment.
      ...(this.#phase === 'away' || this.#phase === 'stopped' ? [] : of(there, 'proxy')),
    ];
    while (!stop.aborted) {
      await sleep(300 + random.unit() * 1_200);
      if (stop.aborted) return;
      const { site, role, no } = victims[random.below(victims.length)] as Victim;
      this.kills.push(`${site.name}-${role}-${no}`);
      await site.kill(role, no);
      await sleep(random.unit() * 800);
      // As whoever supervises it: one that begins while its store is too slow to answer ends, and is begun again.
      await again(() => site.startOne(role, no));
    }
  }

  async #blobs(image: MadeImage): Promise<void> {
    for (const blob of image.blobs) await again(() => pushBlob({ url: () => this.#at.here.proxyUrl }, repo, blob));
  }

  async #tag(tag: string, image: MadeImage): Promise<void> {
    const url = this.#at.here.proxyUrl + OCI_PATHS.manifest(repo, tag);
    const headers = { 'content-type': image.mediaType };
    await again(async () => {
      const signal = AbortSignal.timeout(triesMs / 4);
      const answer = await fetch(url, { method: 'PUT', headers, body: image.bytes, signal });
      const text = await answer.text();
      if (answer.status === 404)
        for (const blob of image.blobs) await pushBlob({ url: () => this.#at.here.proxyUrl }, repo, blob);
      if (answer.status !== 201) throw new Error(`PUT ${tag}: ${answer.status} ${text}`);
    });
    if (tag !== 'latest') this.#pushed.set(tag, { atMs: performance.now(), phase: this.#phase });
  }

  /** Tags come there whole, and `latest` never goes back. */
  async #watch(): Promise<void> {
    const url = this.#at.there.proxyUrl;
    while (this.#going) {
      const started = performance.now();
      const tags = await asked(`${url}${OCI_PATHS.tags(repo)}?n=10000`, 'GET').then(
        async (answer) => (answer.status === 200 ? ((await answer.json()) as { tags: string[] }).tags : []),
        () => [],
      );
      for (const tag of tags) if (!this.#came.has(tag)) await this.#arrived(tag);
      await this.#latest(url);
      await sleep(Math.max(0, lookMs - (performance.now() - started)));
    }
  }

  async #arrived(tag: string): Promise<void> {
    const pushed = this.#pushed.get(tag);
    if (pushed === undefined || this.#phase === 'stopped') return;
    this.#came.add(tag);
    (this.lags.get(pushed.phase) as number[]).push(performance.now() - pushed.atMs);
    // Of some of them: whoever sees it there can pull it.
    if (this.#came.size % 7 !== 0) return;
    const base = this.#at.there.proxyUrl;
    const manifest = await asked(base + OCI_PATHS.manifest(repo, tag), 'GET').catch(() => undefined);
    if (manifest?.status === 404) this.wrong.push(`${tag} is listed, and not there`);
    if (manifest?.status !== 200) return;
    const { config, layers } = (await manifest.json()) as { config: Descriptor; layers: Descriptor[] };
    for (const { digest } of [config, ...layers]) {
      const blob = await asked(base + OCI_PATHS.blob(repo, digest), 'HEAD').catch(() => undefined);
      if (blob?.status === 404) this.wrong.push(`${tag} is there, and its blob ${digest} is not`);
    }
  }

  async #latest(url: string): Promise<void> {
    const answer = await asked(url + OCI_PATHS.manifest(repo, 'latest'), 'HEAD').catch(() => undefined);
    const version = answer?.headers.get(REPLICATION_HEADERS.version);
    if (answer?.status !== 200 || version == null) return;
    const no = Number(version.split('-')[0]);
    if (no < this.#highest) this.wrong.push(`latest went back from ${this.#highest} to ${no}`);
    this.#highest = Math.max(this.#highest, no);
  }
}

function asked(url: string, method: string): Promise<Response> {
  return fetch(url, { method, headers: { accept: MEDIA.ociManifest }, signal: AbortSignal.timeout(2_000) });
}

/** Until it is done, as any client of a cluster whose parts are killed. */
async function again(act: () => Promise<void>): Promise<void> {
  for (const untilMs = performance.now() + triesMs; ; ) {
    try {
      return await act();
    } catch (error) {
      if (performance.now() > untilMs) throw error;
      await sleep(lookMs);
    }
  }
}

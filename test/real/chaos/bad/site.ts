/** A small cluster for one trouble at a time: real processes, each at a loopback address of its own, the usual ports. */
import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { prng } from '../../../../core/prng.ts';
import type { Child } from '../../../../platform/lifecycle/child.ts';
import { shoal } from '../../cluster.ts';
import { keepRunning, temporary } from '../../processes.ts';
import { adminPort, configOf, PORTS } from '../hosts/configs.ts';
import { Catalogue } from '../load/catalogue.ts';
import { type Answer, ask } from '../load/http.ts';
import { copiesOf } from '../load/proof.ts';
import { push } from '../load/push.ts';
import type { Image, PushRecord } from '../load/records.ts';
import { Registry } from '../load/registry.ts';
import { type Counts, type Node, nodesOf, type Role } from '../plan/topology.ts';

/** Of every image here. */
export const repo = 'library/app';
/** All at once, on a machine that others use. */
const readyMsMax = 180_000;
/** A process that was just started may take its time. */
const readyAskMs = 5_000;
const lookEveryMs = 100;

/** What the configuration of a role or a node says beside the usual, from its next start on. */
export type More = Record<string, Readonly<Record<string, unknown>>>;

export class Site {
  readonly dir: string;
  readonly #nodes: readonly Node[];
  readonly #more: More;
  readonly #children = new Map<string, Child>();
  readonly #stack: AsyncDisposableStack;
  readonly #catalogue = new Catalogue();
  readonly #random = prng(1);
  #no = 0;

  private constructor(stack: AsyncDisposableStack, dir: string, of: { counts: Counts; more: More }) {
    this.dir = dir;
    this.#nodes = nodesOf(of.counts);
    this.#more = of.more;
    this.#stack = stack;
  }

  /** All nodes, or those that `now` chooses. */
  static async start(
    stack: AsyncDisposableStack,
    counts: Counts,
    more: More = {},
    now: (node: Node) => boolean = () => true,
  ): Promise<Site> {
    const site = new Site(stack, await temporary(stack, 'bad'), { counts, more });
    const nodes = site.#nodes.filter(now);
    for (const { name } of nodes) await site.start(name, false);
    for (const { name } of nodes) await site.ready(name);
    return site;
  }

  async start(name: string, ready = true): Promise<void> {
    const node = this.#of(name);
    const place = { nodes: this.#nodes, data: this.dataOf(name), addressOf, listen: addressOf(node) };
    const config = join(this.dir, `${name}.yaml`);
    await writeFile(
      config,
      JSON.stringify({ ...configOf(node, place), ...this.#more[node.role], ...this.#more[name] }),
    );
    const child = keepRunning([...shoal, node.role, '--config', config], this.logOf(name));
    this.#children.set(name, this.#stack.use(child));
    if (ready) await this.ready(name);
  }

  async ready(name: string): Promise<void> {
    let said = 'nothing';
    const isReady = async (): Promise<boolean> => {
      const { status, body } = await this.readiness(name);
      said = `${status} ${body}`;
      return status === 200;
    };
    await this.#child(name)
      .until(isReady, readyMsMax)
      .catch((error: Error) => {
        throw new Error(`${name} says ${said}: ${error.message}`);
      });
  }

  async stop(name: string): Promise<void> {
    await this.#child(name).end();
  }

  /** kill -9. */
  async kill(name: string): Promise<void> {
    await this.#child(name).end(0);
  }

  signal(name: string, signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child(name).signal(signal);
  }

  /** Its disk is lost: the next one is empty. */
  async lose(name: string): Promise<void> {
    await rm(this.dataOf(name), { recursive: true, force: true, maxRetries: 3 });
  }

  /** Those that ended, though nobody ended them. */
  get died(): string[] {
    return [...this.#children].flatMap(([name, child]) => (child.running || child.asked ? [] : [name]));
  }

  names(role?: Role): string[] {
    return this.#nodes.filter((node) => role === undefined || node.role === role).map(({ name }) => name);
  }

  dataOf(name: string): string {
    return join(this.dir, name);
  }

  logOf(name: string): string {
    return join(this.dir, `${name}.log`);
  }

  /** As whoever clones a disk does: what the other one has is here as well, and nothing else. */
  async clone(from: string, to: string): Promise<void> {
    await rm(this.dataOf(to), { recursive: true, force: true });
    await cp(this.dataOf(from), this.dataOf(to), { recursive: true, preserveTimestamps: true });
  }

  readiness(name: string): Promise<Answer> {
    return ask(`${this.admin(name)}/readiness`, { silentMs: readyAskMs });
  }

  async metric(name: string, metric: string): Promise<number> {
    const { body } = await ask(`${this.admin(name)}/metrics`);
    const line = body
      .toString()
      .split('\n')
      .find((one) => one.startsWith(metric) && /[ {]/.test(one[metric.length] ?? ''));
    return Number(line?.split(' ').at(-1) ?? Number.NaN);
  }

  /** Where a node serves what it says of itself; an origin's API as well. */
  admin(name: string): string {
    const node = this.#of(name);
    return `http://${addressOf(node)}:${adminPort(node.role)}`;
  }

  registry(name: string): Registry {
    const node = this.#of(name);
    return new Registry(`http://${addressOf(node)}:${node.role === 'proxy' ? PORTS.proxy : PORTS.agent}`);
  }

  /** A new image of one layer. */
  async push(tag: string, layerBytes: number): Promise<Image> {
    const { image, failure } = await this.tryPush(tag, layerBytes);
    if (image === undefined)
      throw new Error(`${failure?.at}: ${failure?.status} ${failure?.code}: ${failure?.message}`);
    return image;
  }

  async tryPush(tag: string, layerBytes: number): Promise<PushRecord & { readonly image?: Image }> {
    const [gateway, nowMs] = ['proxy-1', () => performance.now()];
    const registry = this.registry(gateway);
    const pushing = { no: ++this.#no, gateway, registry, catalogue: this.#catalogue, random: this.#random, nowMs };
    return await push(repo, tag, { ...pushing, layerBytes: [layerBytes] });
  }

  /** Whether the origin itself holds the whole of it. */
  async holds(origin: string, digest: string): Promise<boolean> {
    const { copies } = await copiesOf(digest, [this.admin(origin)]);
    return copies === 1;
  }

  #of(name: string): Node {
    const node = this.#nodes.find((it) => it.name === name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  #child(name: string): Child {
    const child = this.#children.get(name);
    if (child === undefined) throw new Error(`${name} was never started`);
    return child;
  }
}

/** Several of these may run at once. */
const block = 1 + (process.pid % 250);
/** Nodes have the first ones. */
export const addressAt = (no: number): string => `127.27.${block}.${no}`;
const addressOf = ({ no }: Node): string => addressAt(no);

/** Waits until it is so; what it was last where it does not become so. */
export async function eventually<T>(look: () => Promise<T>, isSo: (now: T) => boolean, withinMs: number): Promise<T> {
  for (const untilMs = performance.now() + withinMs; ; await sleep(lookEveryMs)) {
    const now = await look();
    if (isSo(now) || performance.now() > untilMs) return now;
  }
}

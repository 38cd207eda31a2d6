/** One run from the start of the cluster to its report: load all the time, faults by the plan, then peace, then the proof. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afflict } from './hosts/afflict.ts';
import { adminPort, PORTS } from './hosts/configs.ts';
import { mountImages } from './hosts/disk.ts';
import { Lateness } from './hosts/lateness.ts';
import { imagesIn, NodeProcess, type Site } from './hosts/nodes.ts';
import { controlAddress } from './hosts/wiring.ts';
import { type Befallen, excuseOf, judge } from './judge/judge.ts';
import { faultLine, type Report, recordLine } from './judge/report.ts';
import { trace } from './judge/trace.ts';
import { ask } from './load/http.ts';
import { type Gateway, Load } from './load/load.ts';
import { proveAll } from './load/proof.ts';
import type { PullRecord, PushRecord } from './load/records.ts';
import { Registry } from './load/registry.ts';
import { ABOUT, allows, type Cluster, type Fault, type Kind } from './plan/faults.ts';
import { planFaults } from './plan/plan.ts';
import { type Node, nodesOf, type Role, whole } from './plan/topology.ts';

export type RunPlan = {
  readonly seed: number;
  readonly seconds: number;
  readonly agents: number;
  readonly kinds: readonly Kind[];
};

/** All at once, on a machine of two cores. */
const readyMsMax = 120_000;
/** What the issue grants after the last fault. */
export const healthyMsMax = 30_000;
const lookEveryMs = 250;
const faultEveryMs = 4_000;
const lateMsWorthAWord = 250;
const pullsASecond = 16;
/** So that an hour's blobs fit on the origins' disks as well. */
const pushesMax = 400;
const pushesASecond = 1;
/** Copies that an origin's blob has. */
const replicas = 2;
/** Until each blob has them, after the last fault. */
const replicasMsMax = 60_000;

/** A fault that goes on. */
type Now = { -readonly [K in keyof Befallen]: Befallen[K] };

export class Run {
  readonly #plan: RunPlan;
  readonly #site: Site;
  readonly #nodes: readonly Node[];
  readonly #cluster: Cluster;
  readonly #processes: ReadonlyMap<string, NodeProcess>;
  readonly #load: Load;
  readonly #befallen: Now[] = [];
  readonly #crashed: string[] = [];
  readonly #lateness = new Lateness();
  #begunMs = performance.now();

  constructor(site: Site, plan: RunPlan) {
    this.#plan = plan;
    this.#site = site;
    this.#nodes = nodesOf({ ...whole, agent: plan.agents });
    this.#cluster = new Map(this.#nodes.map((node) => [node.name, node]));
    this.#processes = new Map(this.#nodes.map((node) => [node.name, new NodeProcess(node, site)]));
    const { seed, seconds } = plan;
    this.#load = new Load({
      seed,
      agents: this.#gateways('agent'),
      proxies: this.#gateways('proxy'),
      pace: { pulls: pullsASecond, pushes: Math.min(pushesASecond, pushesMax / seconds) },
      nowMs: () => this.#nowMs(),
      onRecord: (record) => this.#note(record),
    });
  }

  async toEnd(): Promise<Report> {
    await this.#start();
    this.#begunMs = performance.now();
    const loading = this.#load.run();
    const watching = new AbortController();
    const supervised = this.#supervise(watching.signal);
    await this.#befall();
    const peaceMs = this.#nowMs();
    const unhealthy = await this.#becomeHealthy(peaceMs);
    const healthyMs = unhealthy.length === 0 ? this.#nowMs() - peaceMs : undefined;
    this.#say(unhealthy.length === 0 ? 'healthy' : `NOT HEALTHY: ${unhealthy.join('; ')}`);
    this.#load.stop();
    await loading;
    const proof = await this.#prove();
    watching.abort();
    await supervised;
    const report = { ...this.#report(), ...proof, healthyMs, unhealthy };
    const { failed, wrong, pushesFailed } = report.judged;
    const causes = await trace([...wrong, ...failed, ...pushesFailed], join(this.#site.dir, 'logs'));
    for (const cause of causes) console.log(cause);
    this.#lateness[Symbol.dispose]();
    return report;
  }

  #report() {
    const { pulls, pushes } = this.#load;
    const { seed, seconds } = this.#plan;
    return {
      ...{ seed, seconds, faults: this.#befallen, crashed: this.#crashed },
      judged: judge(pulls, pushes, this.#befallen),
      pushes: pushes.length,
    };
  }

  async #start(): Promise<void> {
    await mountImages(imagesIn(this.#site.dir));
    for (const it of this.#processes.values()) await it.prepare(this.#nodes);
    for (const it of this.#processes.values()) it.start();
    const untilMs = this.#nowMs() + readyMsMax;
    for (const node of this.#nodes) {
      while (!(await this.#isReady(node))) {
        if (this.#nowMs() > untilMs) throw new Error(`${node.name} is not ready within ${readyMsMax / 1_000} s`);
        await sleep(lookEveryMs);
      }
    }
    this.#say(`${this.#nodes.length} nodes are ready`);
  }

  /** Every fault at its time; ends with the last one's. */
  async #befall(): Promise<void> {
    const { seed, seconds, kinds } = this.#plan;
    const untilMs = 1_000 * seconds;
    const faults = planFaults({ seed, nodes: this.#nodes, untilMs, everyMs: faultEveryMs, kinds });
    await Promise.all([...faults.map((fault) => this.#fault(fault)), sleep(untilMs)]);
  }

  async #fault(fault: Fault): Promise<void> {
    await sleep(fault.atMs - this.#nowMs());
    const still = this.#befallen.filter(({ readyMs }) => readyMs === Number.POSITIVE_INFINITY).map((it) => it.fault);
    // A slow machine starts its processes later than planned.
    if (!allows(this.#cluster, still, fault)) return this.#say(`#${fault.no} is left out: others are not over yet`);
    this.#say(faultLine(fault, ABOUT[fault.kind].what));
    const never = Number.POSITIVE_INFINITY;
    const now: Now = { fault, fromMs: this.#nowMs(), mendingMs: never, mendedMs: never, readyMs: never };
    this.#befallen.push(now);
    const mend = await afflict(fault, { label: this.#site.label, of: (name) => this.#of(name) });
    await sleep(fault.forMs);
    now.mendingMs = this.#nowMs();
    await mend();
    now.mendedMs = this.#nowMs();
    this.#say(`#${fault.no} is over`);
    void this.#whenReady(fault, now);
  }

  async #whenReady({ no, target }: Fault, now: Now): Promise<void> {
    const { node } = this.#of(target);
    while (!(await this.#isReady(node))) await sleep(lookEveryMs);
    now.readyMs = this.#nowMs();
    const tookMs = now.readyMs - now.mendedMs;
    if (tookMs > 2_000) this.#say(`#${no} ${target} is ready, after ${Math.round(tookMs)} ms`);
  }

  /** As whatever runs the nodes would: what ended by itself is started again, and told of. */
  async #supervise(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const it of this.#processes.values()) {
        if (!it.died) continue;
        this.#crashed.push(`${it.node.name} at ${Math.round(this.#nowMs())} ms`);
        this.#say(`${it.node.name} ENDED BY ITSELF`);
        it.start();
      }
      await sleep(lookEveryMs);
    }
  }

  /** All are ready, a push through each proxy and a pull through each agent and proxy go well. What is not so, in the end. */
  async #becomeHealthy(peaceMs: number): Promise<string[]> {
    const untilMs = peaceMs + healthyMsMax;
    const proxies = this.#gateways('proxy');
    const steps = [
      ...this.#nodes.map((node) => ({ name: `${node.name} is not ready`, well: () => this.#isReady(node) })),
      ...proxies.map((it) => ({ name: `no push through ${it.name}`, well: () => this.#load.once(it, 'push') })),
      ...[...this.#gateways('agent'), ...proxies].map((it) => ({
        name: `no pull through ${it.name}`,
        well: () => this.#load.once(it, 'pull'),
      })),
    ];
    const unwell: string[] = [];
    const become = async ({ name, well }: (typeof steps)[number]): Promise<void> => {
      let isWell = await well();
      while (!isWell && this.#nowMs() < untilMs) {
        await sleep(lookEveryMs);
        isWell = await well();
      }
      if (!isWell || this.#nowMs() > untilMs) unwell.push(name);
    };
    await Promise.all(steps.map(become));
    return unwell;
  }

  /** All that was acknowledged; where copies are missing, once more until they must be there. */
  async #prove() {
    const origins = this.#nodes.filter(({ role }) => role === 'origin').map((node) => this.#url(node, PORTS.origin));
    const proxies = this.#gateways('proxy');
    const untilMs = this.#nowMs() + replicasMsMax;
    let proved = await proveAll(this.#load.catalogue.held, origins, proxies);
    const acknowledged = proved.length;
    const isLost = ({ copies, wrong }: { copies: number; wrong: readonly string[] }) =>
      copies === 0 || wrong.length > 0;
    const short = () => proved.filter((it) => it.copies < replicas || isLost(it));
    for (let told = 0; short().length > 0 && this.#nowMs() < untilMs; ) {
      const now = short().length;
      if (now !== told) this.#say(`${now} of ${acknowledged} have fewer than ${replicas} copies, or were not given`);
      told = now;
      await sleep(5_000);
      proved = await proveAll(short(), origins, proxies);
    }
    for (const { repo, digest, copies, said, wrong } of short().slice(0, 20))
      this.#say(`${repo} ${digest}: ${copies} copies; ${[...said, ...wrong].join('; ')}`);
    return { acknowledged, lost: proved.filter(isLost), fewCopies: short() };
  }

  async #isReady(node: Node): Promise<boolean> {
    const at = `${this.#url(node, adminPort(node.role))}/readiness`;
    return await ask(at, { silentMs: 2_000 }).then(
      ({ status }) => status === 200,
      () => false,
    );
  }

  #of(name: string): NodeProcess {
    const found = this.#processes.get(name);
    if (found === undefined) throw new Error(`there is no node ${name}`);
    return found;
  }

  #gateways(role: Role & ('agent' | 'proxy')): Gateway[] {
    return this.#nodes
      .filter((node) => node.role === role)
      .map((node) => ({ name: node.name, registry: new Registry(this.#url(node, PORTS[role])) }));
  }

  #url(node: Node, port: number): string {
    return `http://${controlAddress(node)}:${port}`;
  }

  /** What is excused is only counted: a killed agent refuses a dozen pulls. */
  #note(record: PullRecord | PushRecord): void {
    const wrong = 'wrong' in record && record.wrong !== undefined;
    if (record.failure === undefined && !wrong) return;
    if (!wrong && excuseOf(record, this.#befallen) !== undefined) return;
    const late = this.#lateness.ms > lateMsWorthAWord ? ` (this machine was ${this.#lateness.ms} ms late)` : '';
    this.#say(`${wrong ? 'WRONG ' : ''}${recordLine(record, this.#befallen)}${late}`);
  }

  #nowMs(): number {
    return performance.now() - this.#begunMs;
  }

  #say(text: string): void {
    console.log(`${(this.#nowMs() / 1_000).toFixed(1).padStart(7)} s  ${text}`);
  }
}

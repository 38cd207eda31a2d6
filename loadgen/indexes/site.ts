/**
 * Real index processes on one engine, each behind a relay that keeps its port when the process is another one, and with
 * one between it and its engine, where that listens somewhere.
 */

import { Relay } from '../../harness/relay.ts';
import { RoleProcess } from '../../harness/roles.ts';
import type { Engine } from './store.ts';

const host = '127.0.0.1';

export class IndexSite {
  readonly relay: Relay;
  /** Between the process and its engine. */
  readonly engine: Relay | undefined;
  readonly #start: () => Promise<RoleProcess>;
  #process: RoleProcess | undefined;

  private constructor(relay: Relay, engine: Relay | undefined, start: () => Promise<RoleProcess>) {
    this.relay = relay;
    this.engine = engine;
    this.#start = start;
  }

  /** Ends with the stack. */
  static async start(
    name: string,
    { engine, dir }: { engine: Engine; dir: string },
    stack: AsyncDisposableStack,
  ): Promise<IndexSite> {
    const relay = stack.use(await Relay.start());
    const between = engine.at && stack.use(await Relay.start(engine.at));
    const config = { log: { level: 'warn' }, listen: { host, port: 0 }, ...engine.config(between?.port) };
    const site = new IndexSite(relay, between, () => RoleProcess.start({ role: 'index', name, dir, config }));
    stack.defer(() => site.#process?.[Symbol.asyncDispose]());
    await site.begin();
    return site;
  }

  get url(): string {
    return `http://${host}:${this.relay.port}`;
  }

  /** Without the relay. */
  get direct(): string {
    return `http://${host}:${this.process.ports['api']}`;
  }

  get process(): RoleProcess {
    if (this.#process === undefined) throw new Error('the index process was killed, and not begun again');
    return this.#process;
  }

  async begin(): Promise<void> {
    this.#process = await this.#start();
    this.relay.to({ host, port: this.#process.ports['api'] as number });
  }

  async kill(): Promise<void> {
    const { process } = this;
    this.#process = undefined;
    await process.kill();
  }
}

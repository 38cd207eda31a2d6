/** A proxy of the run: the product's own registry over its clients of origins and index. It keeps nothing, and may be killed. */

import { IndexClient } from '../../../platform/clients/index-client.ts';
import { Origins } from '../../../platform/clients/origins.ts';
import { ProxyRegistry } from '../../../proxy/registry.ts';
import { log } from '../peers/peer.ts';
import type { Roster } from '../roster/roster.ts';
import type { Process, World } from '../world.ts';
import { Calls } from './calls.ts';
import { serveRegistry } from './servers.ts';

/** Both required: one host may be lost. */
const copies = 2;
const originStallMs = 5_000;

export class ProxySite {
  readonly base: string;
  readonly host: number;
  readonly #world: World;
  readonly #roster: Roster;
  #calls: Calls | undefined;

  constructor(world: World, base: string, o: { host: number; roster: Roster }) {
    this.#world = world;
    this.base = base;
    this.host = o.host;
    this.#roster = o.roster;
  }

  get up(): boolean {
    return this.#calls !== undefined;
  }

  process = (): Process | undefined => this.#calls?.process;

  start(): void {
    const calls = new Calls(this.#world, this.host, true);
    this.#calls = calls;
    const origins = new Origins({ members: this.#roster.members(calls), copies, required: copies });
    const index = new IndexClient(calls.index());
    const registry = new ProxyRegistry({ index, origins, log, originStallMs });
    this.#world.dirty = true;
    void serveRegistry({ world: this.#world, base: this.base, process: calls.process }, 'proxy', registry);
  }

  crash(): void {
    this.#calls?.end(false);
    this.#calls = undefined;
  }
}

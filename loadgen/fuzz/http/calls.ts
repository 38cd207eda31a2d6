/** What a process of the run calls others with, from its start to its end. */

import type { HttpClient } from '../../../platform/clients/http.ts';
import { type OriginClient, type OriginsKnown, originMembers } from '../../../platform/clients/origin.ts';
import { httpMembers } from '../../../platform/members/http.ts';
import { fixedList, type MemberList } from '../../../platform/members/list.ts';
import type { Members } from '../../../platform/members/members.ts';
import type { HttpTransport } from '../../../platform/net/http.ts';
import type { Process, World } from '../world.ts';
import { wiresOf } from './wires.ts';

export const indexBase = 'http://index';

export class Calls {
  readonly process: Process;
  readonly #world: World;
  readonly #transport: HttpTransport;
  readonly #made: AsyncDisposable[] = [];

  /** `spoils`: a byte of what it uploads goes wrong on the way now and then. */
  constructor(world: World, host: number, spoils = false) {
    this.#world = world;
    this.process = { host, alive: true };
    this.#transport = wiresOf(world).transport(this.process, spoils);
  }

  origins(list: MemberList, known: OriginsKnown = {}): Members<OriginClient> {
    return this.#use(originMembers(list, { ...known, transport: this.#transport }));
  }

  to(urls: readonly string[]): Members<HttpClient> {
    return this.#use(httpMembers(fixedList(urls), { transport: this.#transport }));
  }

  index(): Members<HttpClient> {
    return this.to([indexBase]);
  }

  /** The process ends, with its connections. `power`: nobody is told of it. */
  end(power: boolean): void {
    if (!this.process.alive) return;
    this.process.alive = false;
    wiresOf(this.#world).ended(this.process, power);
    for (const made of this.#made) void made[Symbol.asyncDispose]();
  }

  #use<M extends AsyncDisposable>(made: M): M {
    this.#made.push(made);
    return made;
  }
}

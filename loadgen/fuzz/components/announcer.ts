/**
 * A host that was taken over, with an agent's certificate: it says to be an origin, says again what others said, in any order,
 * sends others away, and tells of itself whatever it likes. What is not its own to say may change nothing.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import { type AnnounceRequest, TRACKER } from '../../../core/contracts/tracker.ts';
import { unitBytes } from '../../../core/piece.ts';
import { HttpClient } from '../../../platform/clients/http.ts';
import type { Content } from '../content.ts';
import { wiresOf } from '../http/wires.ts';
import { hostName } from '../peers/net.ts';
import type { Process, World } from '../world.ts';
import type { Certificates } from './certificates.ts';

/** Of what was overheard the latest. */
const heardMax = 200;

/** What hosts told trackers, as whoever listens somewhere may know it. */
export class Overheard {
  readonly said: AnnounceRequest[] = [];

  add(request: AnnounceRequest): void {
    this.said.push(request);
    if (this.said.length > heardMax) this.said.shift();
  }
}

type Parts = {
  readonly host: number;
  readonly trackers: readonly string[];
  readonly contents: readonly Content[];
  readonly certificates: Certificates;
  readonly overheard: Overheard;
};

export class Announcer {
  readonly process: Process;
  readonly #world: World;
  readonly #parts: Parts;
  readonly #clients: readonly HttpClient[];
  readonly #own: AnnounceRequest[] = [];
  constructor(world: World, parts: Parts) {
    this.#world = world;
    this.#parts = parts;
    this.process = { host: parts.host, alive: true };
    parts.certificates.give(parts.host, 'agent');
    const transport = wiresOf(world).transport(this.process);
    this.#clients = parts.trackers.map((base) => new HttpClient({ base, transport }));
    this.#act();
  }

  end(): void {
    if (!this.process.alive) return;
    this.process.alive = false;
    wiresOf(this.#world).ended(this.process, false);
    for (const client of this.#clients) void client[Symbol.asyncDispose]();
  }

  #act(): void {
    if (!this.process.alive) return;
    const world = this.#world;
    const client = world.pick(this.#clients);
    const { overheard, certificates } = this.#parts;
    const { host } = this.process;
    const others = overheard.said.filter(
      ({ self }) => !certificates.owns(host, self.node) && self.host !== hostName(host),
    );
    const draw = world.prng.below(6);
    if (draw === 0) void this.#say(client, TRACKER.announce.path({}), this.#about('origin'), 'an origin');
    else if (draw === 1 && others.length > 0)
      void this.#say(client, TRACKER.announce.path({}), world.pick(others), 'again what somebody else said');
    else if (draw === 2 && others.length > 0)
      void this.#say(client, TRACKER.leave.path({}), { node: world.pick(others).self.node }, 'that another one leaves');
    else if (draw === 3 && others.length > 0) {
      const { self, entries } = this.#about('agent');
      const elsewhere = { self: { ...self, host: world.pick(others).self.host }, entries };
      void this.#say(client, TRACKER.announce.path({}), elsewhere, "another one's address");
    } else {
      // Of itself: something new, or again what it said before.
      const old = this.#own.length > 0 && world.once(2) ? world.pick(this.#own) : undefined;
      const request = old ?? this.#about('agent');
      if (old === undefined) this.#own.push(request);
      void this.#say(client, TRACKER.announce.path({}), request, undefined);
    }
    world.after(world.between(20, 400), () => this.#act());
  }

  /** `lie`: what a tracker may not take from an agent. */
  async #say(client: HttpClient, path: string, body: object, lie: string | undefined): Promise<void> {
    const world = this.#world;
    try {
      await client.json('POST', path, { body, tries: 1 });
      if (lie !== undefined) world.violate('believed', `a tracker took of an agent that it is ${lie}`);
    } catch (error) {
      if (!(error instanceof ApiError)) return world.threw(error);
      if (lie !== undefined && error.code === 'DENIED') world.fault('a lie about another is refused');
      else if (lie === undefined && error.code === 'DENIED')
        world.violate('believed', `a tracker refused what an agent said of itself: ${error.message}`);
    }
  }

  /** That it has, wants or gave up this and that, with metainfo that is none. */
  #about(role: 'agent' | 'origin'): AnnounceRequest {
    const world = this.#world;
    const { certificates, contents } = this.#parts;
    const { host } = this.process;
    const self = { node: certificates.nodeOf(host), host: hostName(host), port: 1, role, zone: '' };
    const some = contents.filter(() => world.once(2));
    const entries = some.map(({ digest, bytes }) => ({
      digest,
      state: world.pick(['want', 'have', 'gone'] as const),
      seek: world.prng.below(8),
      meta: { length: bytes.length, pieceLength: unitBytes, root: 'f'.repeat(64) },
    }));
    return { self, entries, held: world.prng.below(10), reset: world.once(4) };
  }
}

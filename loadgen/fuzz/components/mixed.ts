/** Components that were taken over, in a run whose hosts have certificates: who they are, and what they do. */

import type { FastifyInstance } from 'fastify';
import { type AnnounceReply, type AnnounceRequest, TRACKER } from '../../../core/contracts/tracker.ts';
import type { PeerAddress } from '../../../core/wire/messages.ts';
import type { Content } from '../content.ts';
import { type Cluster, hostName } from '../peers/net.ts';
import type { World } from '../world.ts';
import { Announcer, Overheard } from './announcer.ts';
import { Certificates } from './certificates.ts';
import { lied } from './lying.ts';

type Site = { readonly host: number };

export class MixedCompany {
  readonly certificates = new Certificates();
  readonly #world: World;
  readonly #cluster: Cluster;
  readonly #overheard = new Overheard();
  readonly #announcers: Announcer[] = [];
  /** The first tracker lies, in half of these runs. */
  readonly #lies: boolean;

  constructor(world: World, cluster: Cluster) {
    this.#world = world;
    this.#cluster = cluster;
    this.#lies = world.seed % 32 === 31;
  }

  addressOf(host: number): (role: 'agent' | 'origin') => PeerAddress {
    return (role) => ({ node: this.certificates.nodeOf(host), host: hostName(host), port: 1, role, zone: '' });
  }

  begin(o: {
    readonly origins: readonly Site[];
    readonly agents: readonly Site[];
    readonly trackers: readonly string[];
    readonly contents: readonly Content[];
  }): void {
    for (const { host } of o.origins) this.certificates.give(host, 'origin');
    for (const { host } of o.agents) this.certificates.give(host, 'agent');
    const { certificates } = this;
    const parts = { trackers: o.trackers, contents: o.contents, certificates, overheard: this.#overheard };
    for (let i = 0; i < 2; i++)
      this.#announcers.push(new Announcer(this.#world, { ...parts, host: this.#world.addHost(100e6) }));
  }

  end(): void {
    for (const announcer of this.#announcers) announcer.end();
  }

  /** Of a tracker's server. */
  around(app: FastifyInstance, tracker: string): void {
    app.addHook('preHandler', (request, _, done) => {
      const { body } = request;
      if (request.routeOptions.url === TRACKER.announce.pattern && typeof body === 'object' && body !== null)
        this.#overheard.add((Buffer.isBuffer(body) ? JSON.parse(body.toString()) : body) as AnnounceRequest);
      done();
    });
    if (!this.#lies || tracker !== 'http://t0') return;
    app.addHook('onSend', (request, reply, payload, done) => {
      if (request.routeOptions.url !== TRACKER.announce.pattern || reply.statusCode !== 200) return done(null, payload);
      const peers = [...this.#cluster.peers.values()].map(({ self }) => self);
      reply.removeHeader('content-length');
      done(null, JSON.stringify(lied(this.#world, JSON.parse(String(payload)) as AnnounceReply, peers)));
    });
  }
}

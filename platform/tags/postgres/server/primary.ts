/**
 * The primary among the servers that are named, and connections to it: found, lent, and looked for while it is away.
 *
 * Rule 1: who asks while no server answers waits for a moment (`graceMs`), since a restart is over in one; where it has been
 *   away for longer, it is told so at once.
 * Rule 2: a connection that failed is not used again, and a reason to look whether the server is there at all.
 * Rule 3: the password is that of the file by now.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { secretIn } from '../../../backends/secret.ts';
import { sqlTls } from '../../../backends/sql/tls.ts';
import type { Endpoint } from '../../../net/net.ts';
import { storeAway } from '../../away.ts';
import type { PostgresStore } from '../../config.ts';
import type { EngineClock } from './clock.ts';
import { AnswerLate, PgConnection } from './connection.ts';
import { pgFaultOf, pgWordsOf } from './faults.ts';
import { connectionWaitersMax, graceMs, idleConnectionMs, lookMs } from './limits.ts';

type Waiter = { readonly resolve: (connection: PgConnection) => void; readonly reject: (error: Error) => void };
type Idle = { readonly connection: PgConnection; readonly sinceMs: number };
type Away = { readonly sinceMs: number; why: string };

export class Primary implements AsyncDisposable {
  /** For messages. */
  readonly name: string;
  readonly #settings: PostgresStore;
  readonly #clock: EngineClock;
  readonly #idle: Idle[] = [];
  readonly #waiters: Waiter[] = [];
  /** Made, or being made. */
  #connections = 0;
  #away: Away | undefined;
  #closed = false;
  /** The host that was the primary last. */
  #last = 0;

  constructor(settings: PostgresStore, clock: EngineClock) {
    this.#settings = settings;
    this.#clock = clock;
    const hosts = settings.hosts.map(({ host, port }) => `${host}:${port}`).join(', ');
    this.name = `PostgreSQL ${settings.database} at ${hosts}`;
  }

  /** A connection, to be given back. Throws `storeAway`. */
  async take(kind: keyof typeof graceMs): Promise<PgConnection> {
    if (this.#closed) throw storeAway(this.name, 'this index is closing');
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.connection.lost === undefined) return idle.connection;
      this.#gone();
    }
    const left = graceMs[kind] - (this.#away === undefined ? 0 : performance.now() - this.#away.sinceMs);
    if (left <= 0) throw storeAway(this.name, this.#away?.why ?? '');
    if (this.#waiters.length >= connectionWaitersMax) throw storeAway(this.name, 'too many wait for a connection');
    const waiting = this.#wait(left);
    this.#make();
    return await waiting;
  }

  give(connection: PgConnection): void {
    if (connection.lost !== undefined) return this.#doubt(connection.lost);
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) return waiter.resolve(connection);
    if (this.#closed) {
      this.#connections -= 1;
      void connection.end();
      return;
    }
    this.#idle.push({ connection, sinceMs: performance.now() });
    this.#prune();
  }

  /** Given back as it is of no use. */
  discard(connection: PgConnection, why: unknown): void {
    connection.drop();
    this.#doubt(why);
  }

  /** Lent for one call; what fails as the connection does is tried once more on a new one. */
  async lend<T>(ms: number, act: (connection: PgConnection) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const connection = await this.take('read');
      try {
        const answer = await connection.within(ms, () => act(connection));
        this.give(connection);
        return answer;
      } catch (error) {
        const fault = pgFaultOf(error);
        if (fault === 'away' || connection.lost !== undefined) this.discard(connection, error);
        else this.give(connection);
        if (fault === 'refused' || fault === 'full') throw error;
        // One that did not answer in time had the time that there is.
        if (attempt === 2 || error instanceof AnswerLate) throw storeAway(this.name, pgWordsOf(error));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const { reject } of this.#waiters.splice(0)) reject(storeAway(this.name, 'this index is closing'));
    await Promise.all(this.#idle.splice(0).map(({ connection }) => connection.end()));
  }

  #wait(ms: number): Promise<PgConnection> {
    const { promise, resolve, reject } = Promise.withResolvers<PgConnection>();
    const waiter = { resolve, reject };
    const timer = setTimeout(() => {
      const at = this.#waiters.indexOf(waiter);
      if (at < 0) return;
      this.#waiters.splice(at, 1);
      reject(storeAway(this.name, this.#away?.why ?? 'all connections are in use: raise `store.connections`'));
    }, ms);
    this.#waiters.push(waiter);
    return promise.finally(() => clearTimeout(timer));
  }

  /** One more connection, where there may be one; while the server is away whoever looks for it makes them. */
  #make(): void {
    if (this.#away !== undefined || this.#connections >= this.#settings.connections) return;
    this.#connections += 1;
    this.connect().then(
      (connection) => this.give(connection),
      (error: unknown) => {
        this.#gone();
        this.#missed(error);
      },
    );
  }

  /** It failed: the others that are idle may be as dead as it is. */
  #doubt(why: unknown): void {
    this.#gone();
    for (const { connection } of this.#idle.splice(0)) {
      this.#gone();
      connection.drop();
    }
    if (pgFaultOf(why) === 'away') this.#missed(why);
    else if (this.#waiters.length > 0) this.#make();
  }

  #gone(): void {
    this.#connections -= 1;
  }

  #missed(why: unknown): void {
    if (this.#away !== undefined) this.#away.why = pgWordsOf(why);
    else {
      this.#away = { sinceMs: performance.now(), why: pgWordsOf(why) };
      void this.#look();
    }
  }

  /** Until a server answers. */
  async #look(): Promise<void> {
    while (!this.#closed && this.#away !== undefined) {
      this.#connections += 1;
      try {
        const connection = await this.connect();
        this.#away = undefined;
        this.give(connection);
        // Each that waits brings one more into being, as they did not before.
        for (const _ of this.#waiters) this.#make();
      } catch (error) {
        this.#gone();
        this.#missed(error);
        await sleep(lookMs, undefined, { ref: false });
      }
    }
  }

  /** One that is nobody's yet, to the server that is the primary. */
  async connect(): Promise<PgConnection> {
    const { hosts, password, passwordFile } = this.#settings;
    const now = passwordFile === undefined ? password : await secretIn(passwordFile, 'store');
    const whys: string[] = [];
    for (let i = 0; i < hosts.length; i++) {
      const host = (this.#last + i) % hosts.length;
      const at = hosts[host] as Endpoint;
      try {
        const connection = await this.#to(at, now);
        this.#last = host;
        return connection;
      } catch (error) {
        whys.push(`${hosts.length > 1 ? `${at.host}:${at.port}: ` : ''}${pgWordsOf(error)}`);
      }
    }
    throw new Error(whys.join('; '));
  }

  async #to(at: Endpoint, password: string | undefined): Promise<PgConnection> {
    const connection = await PgConnection.open({
      ...{ at, password, settings: this.#settings },
      tls: sqlTls(this.#settings),
    });
    try {
      const asked = performance.now();
      const { standby, nowMs } = await connection.greet(this.#settings.schema);
      if (standby) throw new Error('it is a standby, which is not read: name the primary in `store` as well');
      this.#clock.said(nowMs, asked);
      return connection;
    } catch (error) {
      connection.drop();
      throw error;
    }
  }

  #prune(): void {
    const longAgo = performance.now() - idleConnectionMs;
    const old = this.#idle.findIndex(({ sinceMs }) => sinceMs >= longAgo);
    for (const { connection } of this.#idle.splice(0, Math.max(0, old))) {
      this.#gone();
      void connection.end();
    }
  }
}

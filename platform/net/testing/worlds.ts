/** The three nets that keep the contract, each with a way to let what is under way happen, and an address to meet at. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { whoIsIn } from '../../secure/who.ts';
import { VirtualClock } from '../clock.fixtures.ts';
import { Credentials, type TlsMaterial } from '../credentials.ts';
import { evenMedium } from '../medium.ts';
import type { Net } from '../net.ts';
import { SimulatedNet } from '../simulated.ts';
import { tcp } from '../tcp.ts';
import { tls } from '../tls.ts';

export type TestWorld = {
  readonly name: string;
  readonly host: string;
  /** Of whoever listens, and of whoever dials. */
  readonly server: Net;
  readonly client: Net;
  /** Lets things happen until `ok`; throws where that takes too long. */
  until(ok: () => boolean): Promise<void>;
  /** Lets happen what is under way. */
  rest(): Promise<void>;
};

const realMs = 10_000;
const restMs = 60;

async function until(ok: () => boolean): Promise<void> {
  const endMs = performance.now() + realMs;
  while (!ok()) {
    if (performance.now() > endMs) throw new Error(`not within ${realMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const rest = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, restMs));

function onLoopback(name: string, server: Net, client: Net): TestWorld {
  return { name, host: '127.0.0.1', server, client, until, rest };
}

export function simulatedWorld(o: { latencyMs: number; bytesPerMs: number } = { latencyMs: 1, bytesPerMs: 1e5 }): {
  world: TestWorld;
  net: SimulatedNet;
  clock: VirtualClock;
} {
  const clock = new VirtualClock();
  // Taken apart here and there, as TCP may.
  const cuts = (bytes: number): number[] => (bytes > 10 ? [3, bytes >> 1] : []);
  const net = new SimulatedNet({ ...evenMedium(clock, o), cuts });
  const step = async (): Promise<void> => {
    clock.until(clock.ms + 1);
    // What awaits goes on.
    await new Promise((resolve) => setImmediate(resolve));
  };
  const world: TestWorld = {
    name: 'simulated',
    host: 'h1',
    server: net.place('h1'),
    client: net.place('h2'),
    async until(ok) {
      for (let ms = 0; !ok(); ms++) {
        if (ms > realMs) throw new Error(`not within ${realMs} ms of virtual time`);
        await step();
      }
    },
    async rest() {
      for (let ms = 0; ms < restMs; ms++) await step();
    },
  };
  return { world, net, clock };
}

/** Certificates of one authority, of agents unless `unit` says otherwise; made anew each time. */
export function identities(names: readonly string[], unit = 'agent'): TlsMaterial[] {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-tls-'));
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
  };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  try {
    openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=authority', '-days', '2');
    return names.map((name) => {
      const who = ['-subj', `/OU=${unit}/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
      const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-days', '2'];
      openssl('req', '-x509', ...key, '-keyout', `${name}.key`, '-out', `${name}.pem`, ...who, ...signed);
      const read = (file: string): string => readFileSync(join(dir, file), 'utf8');
      return { ca: [read('ca.pem')], certificate: read(`${name}.pem`), key: read(`${name}.key`) };
    });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Shows these, in a cluster of tests. */
export function showing(material: TlsMaterial): Net {
  return tls(new Credentials(material, whoIsIn('test', Date.now)));
}

export function worlds(): TestWorld[] {
  const [one, two] = identities(['one', 'two']).map(showing) as [Net, Net];
  return [onLoopback('TCP', tcp, tcp), onLoopback('TLS', one, two), simulatedWorld().world];
}

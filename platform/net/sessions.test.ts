/** Sessions that are taken up again: who is who stays the same, and nobody comes in by one who would not without it. */

import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { certificatesIn, factsOf } from '../certs/facts.ts';
import { revocationLists } from '../certs/make.ts';
import { type Material, type MaterialFiles, readMaterial } from '../certs/material.ts';
import { pemOf, TestAuthority } from '../certs/testing.fixtures.ts';
import { whoIsIn } from '../secure/who.ts';
import { Credentials } from './credentials.ts';
import type { Connection, Listener } from './net.ts';
import { Sessions } from './sessions.ts';
import { tls } from './tls.ts';

let authority: TestAuthority;
let files: Record<'server' | 'client' | 'other', MaterialFiles>;
beforeAll(async () => {
  authority = await TestAuthority.make();
  const issue = (name: string): Promise<MaterialFiles> => authority.issue('agent', { name });
  files = { server: await issue('server'), client: await issue('client'), other: await issue('other') };
});
afterAll(() => authority[Symbol.dispose]());

function material(of: MaterialFiles): Material {
  const found = readMaterial(of, { role: undefined, cluster: 'test' }, Date.now());
  if ('identity' in found) return found;
  throw new Error(found.join('\n'));
}

class Side {
  readonly counted: string[] = [];
  readonly credentials: Credentials;
  constructor(of: MaterialFiles) {
    this.credentials = new Credentials(material(of), whoIsIn('test', Date.now), {
      handshake: (side, kind) => this.counted.push(`${side} ${kind}`),
      ended: ({ why }) => this.counted.push(why),
    });
  }
}

/** Names of those that came. */
async function server(side: Side): Promise<{ listener: Listener; came: string[]; at: { host: string; port: number } }> {
  const came: string[] = [];
  const listener = await tls(side.credentials).listen(
    { host: '127.0.0.1', port: 0 },
    {
      accept: (incoming) => {
        const who = incoming.whoIs?.();
        came.push(typeof who === 'object' ? who.name : `${who}`);
        const taken = incoming.take({ received: () => true, closed: () => undefined });
        taken.write(Buffer.from('hello'), () => undefined);
      },
      failed: () => undefined,
    },
  );
  return { listener, came, at: { host: '127.0.0.1', port: listener.port } };
}

type Met = { readonly said: string; readonly who: string; readonly connection: Connection };

/** Dials, and waits for the other side's word, or for why there is none. */
function meet(side: Side, at: { host: string; port: number }): Promise<Met> {
  return new Promise((resolve) => {
    const told = (said: string): void => {
      const who = connection.whoIs?.();
      resolve({ said, who: typeof who === 'object' ? who.name : `${who}`, connection });
    };
    const connection = tls(side.credentials).dial(at, {
      received: (bytes, buffer) => {
        told(Buffer.from(buffer.subarray(0, bytes)).toString());
        return true;
      },
      closed: (why) => told(`closed: ${why}`),
    });
  });
}

/** Dials until a session is taken up: a ticket comes some time after the handshake. */
async function resumed(side: Side, at: { host: string; port: number }): Promise<Met> {
  for (let tries = 0; ; tries++) {
    const met = await meet(side, at);
    if (side.counted.at(-1) === 'out resumed') return met;
    met.connection.destroy();
    if (tries > 1_000) throw new Error('no session is ever taken up');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function revoking(of: MaterialFiles): Promise<string> {
  const serials = certificatesIn(pemOf(of).certificate).map((one) => factsOf(one).serial);
  const { nowMs } = authority;
  return await revocationLists(authority.pair, serials, { fromMs: nowMs - 1e6, untilMs: nowMs + 1e8 });
}

test('a connection takes up the session of one before, and both sides know each other as then', async () => {
  const [one, two] = [new Side(files.server), new Side(files.client)];
  const { listener, came, at } = await server(one);
  const met = [await resumed(two, at), await resumed(two, at)];
  expect(two.counted[0]).toBe('out full');
  expect(two.counted.slice(-2)).toEqual(['out resumed', 'out resumed']);
  expect(one.counted.slice(-2)).toEqual(['in resumed', 'in resumed']);
  expect(new Set(came)).toEqual(new Set(['client']));
  expect(met.map(({ who, said }) => [who, said])).toEqual(Array(2).fill(['server', 'hello']));
  for (const { connection } of met) connection.destroy();
  await listener.close();
});

test.each(['server', 'client'] as const)('new credentials of the %s, new tickets', async (whose) => {
  const [one, two] = [new Side(files.server), new Side(files.client)];
  const { listener, at } = await server(one);
  const met = [await resumed(two, at)];
  const before = two.counted.length;
  (whose === 'server' ? one : two).credentials.replace(material(files.other));
  met.push(await meet(two, at), await resumed(two, at));
  expect(two.counted[before]).toBe('out full');
  for (const { connection } of met) connection.destroy();
  await listener.close();
});

describe('who is revoked', () => {
  test('gets in by no session that it had', async () => {
    const [one, two] = [new Side(files.server), new Side(files.client)];
    const { listener, came, at } = await server(one);
    (await resumed(two, at)).connection.destroy();
    const before = came.length;
    const crl = [await revoking(files.client)];
    one.credentials.replace({ ...material(files.server), crl });
    for (let i = 0; i < 3; i++) expect((await meet(two, at)).said).toContain('closed');
    expect([came.length, one.counted.length]).toEqual([before, before]);
    await listener.close();
  });

  test('is not spoken to by a session that we had with it', async () => {
    const [one, two] = [new Side(files.server), new Side(files.client)];
    const { listener, at } = await server(one);
    (await resumed(two, at)).connection.destroy();
    two.credentials.replace({ ...material(files.client), crl: [await revoking(files.server)] });
    expect((await meet(two, at)).said).toMatch(/^closed: .*revoked/);
    await listener.close();
  });

  test('loses what it has, and others do not; that of a resumed session as well', async () => {
    const [one, two, three] = [new Side(files.server), new Side(files.client), new Side(files.other)];
    const { listener, at } = await server(one);
    const ended: string[] = [];
    const up: Connection[] = [];
    for (const [name, side] of Object.entries({ two, again: two, three })) {
      const first = await resumed(side, at);
      first.connection.destroy();
      await new Promise<void>((resolve) => {
        up.push(
          tls(side.credentials).dial(at, {
            received: () => {
              resolve();
              return true;
            },
            closed: () => ended.push(name),
          }),
        );
      });
    }
    one.credentials.replace({ ...material(files.server), crl: [await revoking(files.client)] });
    one.credentials.sweep(Date.now());
    await vi.waitFor(() => expect(ended.sort()).toEqual(['again', 'two']), 60_000);
    expect(one.counted.filter((line) => line.includes('revoked'))).toEqual(
      Array(2).fill('the certificate of agent/client is revoked'),
    );
    for (const connection of up) connection.destroy();
    await listener.close();
  });
});

test('a session is kept for as many as are named, the latest', () => {
  const sessions = new Sessions();
  const [certificate] = certificatesIn(authority.pair.certificate);
  if (certificate === undefined) throw new Error('no certificate');
  const end = { chain: [], certificate };
  for (let i = 0; i < 600; i++) sessions.keep(`${i}`, { ticket: Buffer.from([i]), end });
  expect([sessions.of('0'), sessions.of('87')]).toEqual([undefined, undefined]);
  expect(sessions.of('88')?.ticket).toEqual(Buffer.from([88]));
  sessions.forget();
  expect(sessions.of('599')).toBeUndefined();
});

test('a resumed one tells its certificate to who was dialled, and to who dialled', async () => {
  const [one, two] = [new Side(files.server), new Side(files.client)];
  const { listener, at } = await server(one);
  (await resumed(two, at)).connection.destroy();
  const socket: TLSSocket = two.credentials.dial(at, 'link');
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  expect(socket.isSessionReused()).toBe(true);
  expect(two.credentials.whoIs(socket)).toMatchObject({
    role: 'agent',
    name: 'server',
    sans: ['localhost', '127.0.0.1', '::1'],
  });
  socket.destroy();
  await listener.close();
});

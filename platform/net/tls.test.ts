/** Who gets a connection over TLS: whoever has a certificate of the same authority that says who it is. */

import { expect, test } from 'vitest';
import { whoIsIn } from '../secure/who.ts';
import { Credentials, type TlsMaterial } from './credentials.ts';
import type { Connection, Net } from './net.ts';
import { tcp } from './tcp.ts';
import { identities, showing } from './testing/worlds.ts';
import { tls } from './tls.ts';

/** What the dialler was told, and how many came in, once the dialler's connection is closed or `want` bytes came. */
async function meet(
  server: Net,
  client: Net,
  host = '127.0.0.1',
): Promise<{ told: string; came: number; heard: string }> {
  let came = 0;
  const listener = await server.listen(
    { host: '127.0.0.1', port: 0 },
    {
      accept: (incoming) => {
        const connection = incoming.take({ received: () => true, closed: () => undefined });
        came++;
        connection.write(Buffer.from('secret'), () => undefined);
        connection.end();
      },
      failed: () => undefined,
    },
  );
  let heard = '';
  const told = await new Promise<string>((resolve) => {
    const connection = client.dial(
      { host, port: listener.port },
      {
        received: (bytes, buffer) => {
          heard += Buffer.from(buffer.subarray(0, bytes)).toString('latin1');
          return true;
        },
        closed: resolve,
      },
    );
    connection.write(Buffer.from('hello there, whoever you are'), () => undefined);
  });
  await listener.close();
  return { told, came, heard };
}

const [one, two] = identities(['one', 'two']) as [TlsMaterial, TlsMaterial];
const [stranger] = identities(['stranger']) as [TlsMaterial];

test('two of one authority talk', async () => {
  expect(await meet(showing(one), showing(two))).toEqual({ told: 'closed by the peer', came: 1, heard: 'secret' });
});

test.each([
  ['a dialler of another authority', showing(one), showing({ ...stranger, ca: one.ca })],
  ['a listener of another authority', showing(stranger), showing(two)],
  ['a dialler without TLS', showing(one), tcp],
] as const)('%s gets nothing', async (_, server, client) => {
  const { came, heard } = await meet(server, client);
  expect([came, heard.includes('secret')]).toEqual([0, false]);
});

test.each([
  ['a listener', (nobody: Net, two: Net) => [nobody, two] as const],
  ['a dialler', (nobody: Net, two: Net) => [two, nobody] as const],
])('%s whose certificate names no role is nobody', async (_, who) => {
  const [nobody, agent] = [identities(['one'], 'payroll')[0], two] as [TlsMaterial, TlsMaterial];
  const both = { ...nobody, ca: [...nobody.ca, ...agent.ca] };
  const [server, client] = who(showing(both), showing({ ...agent, ca: both.ca }));
  const { came, heard } = await meet(server, client);
  expect([came * heard.length, heard]).toEqual([0, '']);
});

test('what was renewed is shown from then on, and connections that there are go on', async () => {
  const [before, after] = identities(['before', 'after']) as [TlsMaterial, TlsMaterial];
  const credentials = new Credentials(before, whoIsIn('test', Date.now));
  const came: { name: string; connection: Connection }[] = [];
  const listener = await tls(credentials).listen(
    { host: '127.0.0.1', port: 0 },
    {
      accept: (incoming) => {
        const connection = incoming.take({ received: () => true, closed: () => undefined });
        const who = connection.whoIs?.();
        came.push({ name: typeof who === 'object' ? who.name : `${who}`, connection });
      },
      failed: () => undefined,
    },
  );
  const heard: string[] = ['', ''];
  const dial = (i: number) =>
    tls(credentials).dial(
      { host: '127.0.0.1', port: listener.port },
      {
        received: (bytes, buffer) => {
          heard[i] += Buffer.from(buffer.subarray(0, bytes)).toString('latin1');
          return true;
        },
        closed: () => undefined,
      },
    );
  const first = dial(0);
  await expect.poll(() => came.length).toBe(1);
  credentials.replace(after);
  const second = dial(1);
  await expect.poll(() => came.length).toBe(2);
  for (const { connection } of came) connection.write(Buffer.from('still here'), () => undefined);
  await expect.poll(() => heard).toEqual(['still here', 'still here']);
  expect(came.map(({ name }) => name)).toEqual(['before', 'after']);
  first.destroy();
  second.destroy();
  await listener.close();
});

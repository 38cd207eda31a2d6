/** Who gets a connection over TLS: whoever has a certificate of the same authority, for the address that is dialled. */

import { expect, test } from 'vitest';
import type { Net } from './net.ts';
import { tcp } from './tcp.ts';
import { identities } from './testing/worlds.ts';
import { type TlsIdentity, tls } from './tls.ts';

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

const [one, two] = identities(['one', 'two']) as [TlsIdentity, TlsIdentity];
const [stranger] = identities(['stranger']) as [TlsIdentity];

test('two of one authority talk', async () => {
  expect(await meet(tls(one), tls(two))).toEqual({ told: 'closed by the peer', came: 1, heard: 'secret' });
});

test.each([
  ['a dialler of another authority', tls(one), tls({ ...stranger, authority: one.authority })],
  ['a listener of another authority', tls(stranger), tls({ ...two })],
  ['a dialler without TLS', tls(one), tcp],
] as const)('%s gets nothing', async (_, server, client) => {
  const { came, heard } = await meet(server, client);
  expect([came, heard.includes('secret')]).toEqual([0, false]);
});

test('a certificate for another address is not believed', async () => {
  const { told, heard } = await meet(tls(one), tls(two), 'localhost');
  expect([told.includes('localhost'), heard]).toEqual([true, '']);
});

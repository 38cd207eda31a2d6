/** AWS as moto has it: an emulator whose ECR gives passwords that say of which account they are. */
import { join } from 'node:path';
import { freePort } from '../../../platform/testing/ports.ts';
import { need } from '../programs.ts';
import { answering, Restartable } from './servers/server.ts';

export type Moto = AsyncDisposable & { readonly endpoint: string };

/** What its ECR gives for an account. */
export const motoPassword = (account: string): string => `${account}-auth-token`;

export async function startMoto(dir: string): Promise<Moto> {
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const server = new Restartable({
    command: [need('moto_server'), '-H', '127.0.0.1', '-p', `${port}`],
    log: join(dir, 'moto.log'),
    ready: answering(`${endpoint}/moto-api/`),
  });
  await server.start();
  return { endpoint, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** Redis, which keeps nothing on the disk. */
import { connect } from 'node:net';
import { freePort } from '../../../platform/testing/ports.ts';
import { need } from '../programs.ts';
import { Restartable } from './servers/server.ts';

export type RedisServer = {
  readonly server: Restartable;
  readonly url: string;
  say(...words: string[]): Promise<string>;
};

export async function startRedis(dir: string): Promise<RedisServer> {
  const port = await freePort();
  const say = (...words: string[]): Promise<string> => said(port, words);
  const command = [need('redis-server'), '--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', ''];
  const ready = async (): Promise<boolean> => (await say('PING').catch(() => '')) === '+PONG';
  const server = new Restartable({ command, log: `${dir}/log`, ready });
  await server.start();
  return { server, say, url: `redis://127.0.0.1:${port}` };
}

/** One command; the first line of its answer. */
function said(port: number, words: readonly string[]): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(port, '127.0.0.1', () => {
    socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`);
  });
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
    if (!text.includes('\r\n')) return;
    socket.destroy();
    resolve(text.slice(0, text.indexOf('\r\n')));
  });
  socket.on('error', reject).on('close', () => reject(new Error(`${words[0]} was not answered`)));
  return promise;
}

/** Redis, which keeps nothing on the disk. */
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../../../platform/testing/ports.ts';
import { need } from '../programs.ts';
import { Restartable } from './servers/server.ts';

export type RedisServer = {
  readonly server: Restartable;
  readonly url: string;
  say(...words: string[]): Promise<string>;
};

/** `more`: of its command line. */
export async function startRedis(dir: string, more: readonly string[] = []): Promise<RedisServer> {
  const port = await freePort();
  const say = (...words: string[]): Promise<string> => said(port, words);
  const own = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', ''];
  const command = [need('redis-server'), ...own, ...more];
  const ready = async (): Promise<boolean> => (await say('PING').catch(() => '')) === '+PONG';
  const server = new Restartable({ command, log: `${dir}/log`, ready });
  await server.start();
  return { server, say, url: `redis://127.0.0.1:${port}` };
}

/** Tells who of those that follow `master` is to be written to; that one takes its place soon after it has gone. HOST:PORT. */
export async function startSentinel(dir: string, name: string, master: string): Promise<RedisServer & { at: string }> {
  const config = join(dir, 'sentinel.conf');
  const { hostname, port } = new URL(master);
  await writeFile(
    config,
    [
      `sentinel monitor ${name} ${hostname} ${port} 1`,
      `sentinel down-after-milliseconds ${name} 1000`,
      `sentinel failover-timeout ${name} 5000`,
    ].join('\n'),
  );
  const own = await freePort();
  const say = (...words: string[]): Promise<string> => said(own, words);
  const command = [need('redis-server'), config, '--sentinel', '--port', `${own}`, '--bind', '127.0.0.1'];
  const ready = async (): Promise<boolean> => (await say('PING').catch(() => '')) === '+PONG';
  const server = new Restartable({ command, log: `${dir}/sentinel.log`, ready });
  await server.start();
  return { server, say, url: `redis://127.0.0.1:${own}`, at: `127.0.0.1:${own}` };
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

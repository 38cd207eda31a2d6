/** Outside programs that figures are compared with: curl, openssl, nginx. Run, timed, stopped by pid. */

import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Child } from '../platform/lifecycle/child.ts';
import { freePort } from '../platform/testing/ports.ts';
import { BenchError, Skipped } from './error.ts';

const nginxReadyMsMax = 5_000;

export function hasProgram(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v "$1"`, 'sh', program]).status === 0;
}

/** Throws Skipped, naming the package, where the program is not installed. */
export function needProgram(program: string, install: string): void {
  if (!hasProgram(program)) throw new Skipped(`needs ${program} (apt-get install ${install})`);
}

/** Runs the program to its end, its output thrown away; seconds that it took. */
export async function timed(program: string, args: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  await run(program, args);
  return (performance.now() - startedMs) / 1000;
}

export async function run(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new BenchError(`${program} ${args.join(' ')}: exit code ${code}\n${errors.slice(-2_000)}`);
  return errors;
}

/** nginx with sendfile over the files of `root`; ends with the stack. The yardstick of every ratio. */
export class Nginx implements AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly #child: Child;

  private constructor(child: Child, url: string) {
    this.#child = child;
    this.url = url;
    this.pid = child.pid;
  }

  static async start(dir: string, root: string): Promise<Nginx> {
    needProgram('nginx', 'nginx-light');
    const port = await freePort();
    mkdirSync(dir, { recursive: true });
    const file = join(dir, 'nginx.conf');
    writeFileSync(file, configOf(dir, root, port));
    const command = ['nginx', '-c', file, '-e', join(dir, 'error.log')];
    const plan = { name: 'nginx', command, output: { file: join(dir, 'error.log') } };
    const { child } = await Child.ready(plan, (starting) => starting.until(() => listens(port), nginxReadyMsMax));
    return new Nginx(child, `http://127.0.0.1:${port}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.end();
  }
}

function configOf(dir: string, root: string, port: number): string {
  return `daemon off; master_process off; worker_processes 1; user root; pid ${dir}/nginx.pid;
events { worker_connections 64; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 60;
  client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/fastcgi;
  uwsgi_temp_path ${dir}/uwsgi; scgi_temp_path ${dir}/scgi;
  server { listen 127.0.0.1:${port}; location / { root ${root}; } }
}
`;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

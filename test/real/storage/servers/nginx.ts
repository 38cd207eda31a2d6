/** nginx: blobs as files, with ranges and without, behind a password, and by TLS. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../../platform/testing/ports.ts';
import { need } from '../../programs.ts';
import { answering, Restartable, type StorageServer } from './server.ts';

export const nginxUser = { username: 'shoal', password: 'of-a-test' };

export class NginxServer extends Restartable implements StorageServer {
  readonly env = {};
  readonly base: string;
  readonly secureBase: string;
  /** The authority of its certificate. */
  readonly ca: string;
  readonly #dir: string;

  private constructor(dir: string, port: number, securePort: number) {
    super({
      command: [need('nginx'), '-p', dir, '-e', join(dir, 'error.log'), '-c', join(dir, 'nginx.conf')],
      log: join(dir, 'log'),
      ready: answering(`http://127.0.0.1:${port}/ready`),
    });
    this.base = `http://127.0.0.1:${port}`;
    this.secureBase = `https://localhost:${securePort}`;
    this.ca = join(dir, 'cert.pem');
    this.#dir = dir;
  }

  static async begin(dir: string): Promise<NginxServer> {
    const [port, securePort] = [await freePort(), await freePort()];
    for (const folder of ['blobs', 'tags', 'temp']) mkdirSync(join(dir, folder));
    const made = [
      '-keyout',
      join(dir, 'key.pem'),
      '-out',
      join(dir, 'cert.pem'),
      '-days',
      '2',
      '-subj',
      '/CN=localhost',
    ];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    execFileSync('openssl', ['req', '-x509', ...curve, ...made, '-addext', 'subjectAltName=DNS:localhost'], {
      stdio: 'ignore',
    });
    const hash = execFileSync('openssl', ['passwd', '-apr1', nginxUser.password], { encoding: 'utf8' }).trim();
    writeFileSync(join(dir, 'passwords'), `${nginxUser.username}:${hash}\n`);
    writeFileSync(join(dir, 'nginx.conf'), configuration(dir, port, securePort));
    const server = new NginxServer(dir, port, securePort);
    await server.start();
    return server;
  }

  get rule() {
    const http = { download: `${this.base}/blobs/%s` };
    return { name: 'main', http, tags: { file: { directory: join(this.#dir, 'tags') } } };
  }

  async fill(bytes: Buffer): Promise<void> {
    await writeFile(join(this.#dir, 'blobs', createHash('sha256').update(bytes).digest('hex')), bytes);
  }

  /** Lines of its access log: `METHOD URI STATUS BYTES`. */
  asked(): string[] {
    return readFileSync(join(this.#dir, 'access.log'), 'utf8').trim().split('\n');
  }
}

export function startNginx(dir: string): Promise<NginxServer> {
  return NginxServer.begin(dir);
}

/** One process: one that is killed takes all of it with it. */
function configuration(dir: string, port: number, securePort: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `daemon off; master_process off; pid ${dir}/pid;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 512; }
http {
  ${temporary.map((name) => `${name}_temp_path ${dir}/temp/${name};`).join(' ')}
  log_format short '$request_method $uri $status $body_bytes_sent';
  access_log ${dir}/access.log short;
  sendfile on;
  server {
    listen 127.0.0.1:${port};
    listen 127.0.0.1:${securePort} ssl;
    ssl_certificate ${dir}/cert.pem; ssl_certificate_key ${dir}/key.pem;
    location = /ready { return 200; }
    location /blobs/ { alias ${dir}/blobs/; }
    location /whole/ { alias ${dir}/blobs/; max_ranges 0; }
    location /chunked/ { alias ${dir}/blobs/; gzip on; gzip_min_length 1; gzip_types *; }
    location /secret/ { alias ${dir}/blobs/; auth_basic "blobs"; auth_basic_user_file ${dir}/passwords; }
    location /limited/ { alias ${dir}/blobs/; limit_except POST { deny all; } }
    location /moved/ { rewrite ^/moved/(.*)$ /blobs/$1 redirect; }
    location /away/ { rewrite ^/away/(.*)$ http://127.0.0.1:${port}/blobs/$1 redirect; }
    location /login/ { default_type text/html; return 200 '<html><title>Sign in</title></html>'; }
  }
}
`;
}

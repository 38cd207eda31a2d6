/** HDFS: NameNodes and DataNodes of Hadoop's own in one process (MiniHdfs.java), with a way to fail them. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hdfsSchema } from '../../../../platform/backends/hdfs/config.ts';
import { HdfsBackend } from '../../../../platform/backends/hdfs/hdfs.ts';
import { realClock } from '../../../../platform/net/clock.ts';
import { createLog } from '../../../../platform/telemetry/log.ts';
import { freePort } from '../../../../platform/testing/ports.ts';
import { need } from '../../programs.ts';
import { answering, Restartable, type StorageServer } from './server.ts';

const program = fileURLToPath(new URL('MiniHdfs.java', import.meta.url));
const directory = '/shoal';
export const hdfsUser = 'shoal';
/** A Java machine that compiles, and two NameNodes, on a busy machine of two cores. */
const readyMsMax = 180_000;

/** It runs for a minute: code that is compiled well takes more than it gives, and garbage is little. */
const briefly = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];

type Plan = { readonly nameNodes?: number; readonly conf?: Readonly<Record<string, string>> };

export class HdfsServer extends Restartable implements StorageServer {
  readonly env = {};
  readonly nameNodes: readonly string[];
  readonly #control: string;

  private constructor(dir: string, control: number, ports: readonly number[], conf: Readonly<Record<string, string>>) {
    const settings = Object.entries(conf).map(([key, value]) => `${key}=${value}`);
    super({
      command: [
        ...[need('hadoop-java'), ...briefly, '-Xmx512m', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', program],
        ...[join(dir, 'data'), `${control}`, ports.join(','), '1', ...settings],
      ],
      env: { HADOOP_USER_NAME: hdfsUser },
      log: join(dir, 'log'),
      ready: answering(`http://127.0.0.1:${control}/ready`),
      readyMsMax,
    });
    this.nameNodes = ports.map((port) => `127.0.0.1:${port}`);
    this.#control = `http://127.0.0.1:${control}`;
  }

  static async begin(dir: string, { nameNodes = 1, conf = {} }: Plan = {}): Promise<HdfsServer> {
    await mkdir(join(dir, 'data'));
    const ports: number[] = [];
    for (let n = 0; n < nameNodes; n++) ports.push(await freePort());
    const server = new HdfsServer(dir, await freePort(), ports, conf);
    await server.start();
    await server.makeDirectory(directory);
    await server.#warm();
    return server;
  }

  /** What comes first takes half a minute on a busy machine: Java loads what it is answered by. */
  async #warm(): Promise<void> {
    const opening = { name: 'warm', stallMs: readyMsMax, env: {}, clock: realClock };
    const log = createLog({ role: 'origin', level: 'silent', name: '' });
    await using backend = new HdfsBackend(hdfsSchema.parse(this.rule.hdfs), { ...opening, log });
    await backend.probe(AbortSignal.timeout(readyMsMax));
  }

  get rule() {
    return { name: 'main', hdfs: { nameNodes: this.nameNodes, directory, user: hdfsUser } };
  }

  async makeDirectory(path: string, user = hdfsUser): Promise<void> {
    await this.control('directory', { path, user });
  }

  /** What MiniHdfs.java does at that path. */
  async control(what: string, how: Readonly<Record<string, string>> = {}): Promise<string> {
    const answer = await fetch(`${this.#control}/${what}?${new URLSearchParams(how)}`);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`MiniHdfs ${what}: ${text}`);
    return text;
  }
}

export function startHdfs(dir: string): Promise<HdfsServer> {
  return HdfsServer.begin(dir);
}

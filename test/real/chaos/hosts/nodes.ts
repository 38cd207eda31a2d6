/** The nodes of a run as processes: each on its host, with its disk and its clock; started, killed, started again. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Child } from '../../../../platform/lifecycle/child.ts';
import { shoal } from '../../cluster.ts';
import { keepRunning } from '../../processes.ts';
import type { Node } from '../plan/topology.ts';
import { clockEnv, setClock } from './clock.ts';
import { configOf, diskBytes } from './configs.ts';
import { type Disk, mountDisk } from './disk.ts';
import { noteClocked } from './sweep.ts';
import { dataAddress, onHost, wireNode } from './wiring.ts';

export type Site = { readonly label: string; readonly dir: string };
export const imagesIn = (dir: string): string => join(dir, 'images');

export class NodeProcess {
  readonly node: Node;
  readonly disk: Disk | undefined;
  readonly clock: string;
  readonly #site: Site;
  #child: Child | undefined;

  constructor(node: Node, site: Site) {
    const { dir } = site;
    const bytes = diskBytes[node.role];
    this.node = node;
    this.disk =
      bytes === undefined
        ? undefined
        : { path: join(dir, 'disks', node.name), image: join(imagesIn(dir), node.name), bytes };
    this.clock = join(dir, 'clocks', node.name);
    this.#site = site;
  }

  get log(): string {
    return join(this.#site.dir, 'logs', `${this.node.name}.log`);
  }

  get #config(): string {
    return join(this.#site.dir, `${this.node.name}.yaml`);
  }

  /** All that the process needs; it is not started. */
  async prepare(nodes: readonly Node[]): Promise<void> {
    for (const folder of ['clocks', 'logs']) await mkdir(join(this.#site.dir, folder), { recursive: true });
    await wireNode(this.#site.label, this.node);
    await setClock(this.clock, 0);
    if (this.disk !== undefined) await mountDisk(this.disk);
    const data = this.disk === undefined ? '' : join(this.disk.path, 'data');
    // JSON is YAML.
    await writeFile(
      this.#config,
      JSON.stringify(configOf(this.node, { nodes, data, addressOf: dataAddress, listen: '0.0.0.0' })),
    );
  }

  start(): void {
    const command = onHost(this.#site.label, this.node, [...shoal, this.node.role, '--config', this.#config]);
    this.#child = keepRunning(command, this.log, clockEnv(this.clock));
    noteClocked(this.#site.dir, this.#child.pid);
  }

  /** Why it is not there, though nobody ended it. */
  get died(): boolean {
    return this.#child !== undefined && !this.#child.running && !this.#child.asked;
  }

  async kill(): Promise<void> {
    await this.#child?.end(0);
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.signal(name);
  }
}

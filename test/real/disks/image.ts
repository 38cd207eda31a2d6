/** A disk that a test has in its hand: an ext4 on a loop device on a file that server.ts answers for. As root. */

import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Child, nodeCommand, ofKind } from '../../../platform/lifecycle/child.ts';
import { run } from '../processes.ts';
import { fileName } from './fuse.ts';
import { deviceFd, type Mood, type ServerAsk } from './log.ts';

/** On a busy machine. */
const answerMsMax = 60_000;

type Done = { readonly kind: 'done'; readonly ask: number; readonly position: number };

export async function makeImage(file: string, bytes: number): Promise<void> {
  const handle = await open(file, 'w');
  await handle.truncate(bytes);
  await handle.close();
  await run('mkfs.ext4', [
    '-q',
    '-m',
    '0',
    '-e',
    'remount-ro',
    '-J',
    'size=4',
    '-E',
    'lazy_itable_init=0,lazy_journal_init=0',
    file,
  ]);
}

/** Mounts an image as it is; what is done to it stays in the file. */
export async function mounted<T>(image: string, at: string, work: () => Promise<T>): Promise<T> {
  await mkdir(at, { recursive: true });
  await run('mount', ['-o', 'loop', image, at]);
  try {
    return await work();
  } finally {
    await run('umount', [at]);
  }
}

const serverFile = new URL('./server.ts', import.meta.url);
/** What is mounted is what the server has open. */
const mountAndServe = `exec ${deviceFd}<>/dev/fuse
at=$1; shift
mount -i -t fuse -o fd=${deviceFd},rootmode=40000,user_id=0,group_id=0,allow_other shoal-image "$at" &
exec "$@"`;

export class ImageDisk {
  /** Where it is mounted. */
  readonly path: string;
  readonly #folder: string;
  readonly #server: Child;
  #asks = 0;

  private constructor(folder: string, server: Child) {
    this.#folder = folder;
    this.path = join(folder, 'disk');
    this.#server = server;
  }

  /** In `folder`, which is the test's own. It goes with the stack. */
  static async start(folder: string, bytes: number, stack: AsyncDisposableStack): Promise<ImageDisk> {
    const image = join(folder, 'base');
    const files = join(folder, 'fuse');
    await mkdir(files, { recursive: true });
    await makeImage(image, bytes);
    const command = ['sh', '-c', mountAndServe, 'sh', files, ...nodeCommand(serverFile, [image])];
    const server = stack.use(Child.start({ name: 'disk image', command, output: 'ours', channel: true }));
    const disk = new ImageDisk(folder, server);
    stack.defer(() => run('umount', ['-l', files]).then(() => undefined));
    await server.message(ofKind<{ readonly kind: 'ready' }>('ready'), answerMsMax);
    const device = await run('losetup', ['--find', '--show', join(files, fileName)]);
    stack.defer(() => run('losetup', ['-d', device]).then(() => undefined));
    await mkdir(disk.path);
    await run('mount', [device, disk.path]);
    stack.defer(async () => {
      await disk.be({ kind: 'well' });
      await run('umount', ['-l', disk.path]);
      await rm(disk.path, { recursive: true, force: true });
    });
    return disk;
  }

  async be(mood: Mood): Promise<void> {
    await this.#ask({ kind: 'mood', mood });
  }

  /** Of its log: how much has been written and synced so far. */
  async position(): Promise<number> {
    return (await this.#ask({ kind: 'position' })).position;
  }

  /** The file with its log. */
  async save(): Promise<string> {
    const file = join(this.#folder, 'log');
    await this.#ask({ kind: 'save', file });
    return file;
  }

  async #ask(ask: ServerAsk): Promise<Done> {
    this.#asks += 1;
    const no = this.#asks;
    const isAnswer = (said: unknown): said is Done => ofKind<Done>('done')(said) && said.ask === no;
    const done = this.#server.message(isAnswer, answerMsMax);
    this.#server.send({ ...ask, ask: no });
    return await done;
  }
}

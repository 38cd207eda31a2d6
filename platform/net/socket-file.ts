/**
 * A unix socket to listen on: a file, whose mode says who may connect.
 *
 * Rule 1: what a killed process left there is removed; where somebody answers, the start is refused. Two that start at the
 *         same moment are told apart by a name that the kernel gives to one process only, and takes back with its end.
 * Rule 2: a file that is no socket is never touched.
 */

import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import type { SocketFile } from './net.ts';

/** Whoever hangs takes the connection all the same: the kernel does so for him. */
const answerMs = 1_000;
/** Only these say that nobody is there: a file of somebody else's, which we may not even ask, is left alone. */
const nobodyThere: ReadonlySet<string | undefined> = new Set(['ECONNREFUSED', 'ENOENT']);

/** Rejects with EADDRINUSE, ENOENT, EACCES or ENOTSOCK as `code`. */
export async function listenOnFile(server: Server, { socket, mode }: SocketFile): Promise<void> {
  const mine = await reserved(socket);
  try {
    await clear(socket);
    await listening(server, socket);
    chmodSync(socket, mode);
  } catch (error) {
    mine?.close();
    throw error;
  }
  server.once('close', () => mine?.close());
}

/** Linux has names that are no files: held until the process ends, however it does. */
async function reserved(socket: string): Promise<Server | undefined> {
  if (process.platform !== 'linux') return undefined;
  const mine = createServer((other) => other.destroy());
  mine.unref();
  const name = createHash('sha256').update(socket).digest('hex');
  await listening(mine, `\0shoal:${name}`);
  return mine;
}

async function clear(socket: string): Promise<void> {
  const found = lstatSync(socket, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw coded('ENOTSOCK', 'there is a file that is no socket');
  if (await answers(socket)) throw coded('EADDRINUSE', 'somebody listens there');
  unlinkSync(socket);
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path: socket });
    const end = (there: boolean): void => {
      probe.destroy();
      resolve(there);
    };
    probe.setTimeout(answerMs, () => end(true));
    probe.once('connect', () => end(true));
    probe.once('error', ({ code }: NodeJS.ErrnoException) => end(!nobodyThere.has(code)));
  });
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

const coded = (code: string, message: string): Error => Object.assign(new Error(message), { code });

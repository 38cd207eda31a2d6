/**
 * The process behind a disk image: FUSE answers the loop device from memory, keeps a log of what was written and synced,
 * and fails as it is told to. `server.ts IMAGE`; whoever started it (image.ts) has opened /dev/fuse for it and mounted that,
 * and talks to it by messages.
 */

import { read, readFileSync, writeFileSync, writeSync } from 'node:fs';
import {
  answer,
  attrReply,
  ERRNO,
  entryReply,
  fileName,
  fileNode,
  initReply,
  OP,
  openReply,
  parseRequest,
  type Request,
  range,
  requestBytesMax,
  rootNode,
  statfsReply,
  writeReply,
  written,
} from './fuse.ts';
import { deviceFd, encodeLog, type LogEntry, type Mood, type ServerAsk } from './log.ts';

const [image] = process.argv.slice(2) as [string];
const bytes = readFileSync(image);
const log: LogEntry[] = [];
let mood: Mood = { kind: 'well' };
const held: Request[] = [];

process.on('message', (ask: ServerAsk & { readonly ask: number }) => {
  if (ask.kind === 'mood') {
    mood = ask.mood;
    if (mood.kind !== 'hangs') for (const request of held.splice(0)) serve(request);
  }
  if (ask.kind === 'save') writeFileSync(ask.file, encodeLog(log));
  process.send?.({ kind: 'done', ask: ask.ask, position: log.length });
});
process.once('disconnect', () => process.exit(0));
next();

/** One request after the other, as a disk with a queue of one. */
function next(): void {
  const buffer = Buffer.alloc(requestBytesMax);
  read(deviceFd, buffer, 0, buffer.length, null, (error, length) => {
    // It was unmounted.
    if (error?.code === 'ENODEV') process.exit(0);
    if (error === null && length > 0) take(parseRequest(buffer.subarray(0, length)));
    next();
  });
}

/** Reads and writes meet the mood that the disk is in. */
function take(request: Request): void {
  const moves = request.op === OP.read || request.op === OP.write || request.op === OP.fsync;
  if (!moves || mood.kind === 'well' || !touches(request)) return serve(request);
  if (mood.kind === 'hangs') return void held.push(request);
  if (mood.kind === 'EIO' || mood.kind === 'unwritable') return reply(request, ERRNO.io);
  if (mood.kind === 'late') setTimeout(() => reply(request, ERRNO.io), mood.ms);
}

/** Whether it is in the part of the disk that is bad, where only a part is. */
function touches({ op, body }: Request): boolean {
  if (mood.kind === 'unwritable') return op !== OP.read;
  if (mood.kind !== 'EIO' || mood.part === undefined) return true;
  if (op === OP.fsync) return false;
  const { offset, size } = range(body);
  return op === OP.read && offset < mood.part.to && offset + size > mood.part.from;
}

function reply({ unique }: Request, errno: number, body?: Buffer): void {
  try {
    writeSync(deviceFd, answer(unique, errno, body));
  } catch (error) {
    // Whoever asked has gone.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function serve(request: Request): void {
  const { op, node, body } = request;
  switch (op) {
    case OP.init:
      process.send?.({ kind: 'ready' });
      return reply(request, ERRNO.none, initReply());
    case OP.lookup: {
      const found = node === rootNode && body.toString('utf8', 0, body.indexOf(0)) === fileName;
      return found ? reply(request, ERRNO.none, entryReply(bytes.length)) : reply(request, ERRNO.noEntry);
    }
    case OP.getattr:
    case OP.setattr:
      return reply(request, ERRNO.none, attrReply(node === fileNode ? fileNode : rootNode, bytes.length));
    case OP.open:
    case OP.opendir:
      return reply(request, ERRNO.none, openReply());
    case OP.read: {
      const { offset, size } = range(body);
      return reply(request, ERRNO.none, bytes.subarray(offset, offset + size));
    }
    case OP.write: {
      const [data, { offset }] = [Buffer.from(written(body)), range(body)];
      data.copy(bytes, offset);
      log.push({ offset, data });
      return reply(request, ERRNO.none, writeReply(data.length));
    }
    case OP.fsync:
      log.push('synced');
      return reply(request, ERRNO.none);
    case OP.flush:
    case OP.release:
    case OP.releasedir:
    case OP.readdir:
    case OP.destroy:
      return reply(request, ERRNO.none);
    case OP.statfs:
      return reply(request, ERRNO.none, statfsReply());
    case OP.forget:
    case OP.batchForget:
    case OP.interrupt:
      return;
    default:
      return reply(request, ERRNO.noSuchOperation);
  }
}

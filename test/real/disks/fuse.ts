/**
 * As much of the kernel's FUSE protocol (7.31, linux/fuse.h) as a directory with one file in it takes.
 *
 * Little-endian, as every machine is that runs the tests.
 */

export const OP = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
} as const;

/** Negated in answers. */
export const ERRNO = { none: 0, noEntry: 2, io: 5, noSuchOperation: 38 } as const;

const headerBytes = 40;
/** What a write may carry, and a request beside it. */
export const writeBytesMax = 1024 * 1024;
export const requestBytesMax = writeBytesMax + 4096;

export const rootNode = 1n;
export const fileNode = 2n;
export const fileName = 'image';

export type Request = {
  readonly op: number;
  readonly unique: bigint;
  readonly node: bigint;
  readonly body: Buffer;
};

export function parseRequest(bytes: Buffer): Request {
  const length = bytes.readUInt32LE(0);
  return {
    op: bytes.readUInt32LE(4),
    unique: bytes.readBigUInt64LE(8),
    node: bytes.readBigUInt64LE(16),
    body: bytes.subarray(headerBytes, length),
  };
}

export function answer(unique: bigint, errno: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + (errno === 0 ? body.length : 0), 0);
  header.writeInt32LE(-errno, 4);
  header.writeBigUInt64LE(unique, 8);
  return errno === 0 ? Buffer.concat([header, body]) : header;
}

/** Of a read or a write: where, and how many bytes. */
export function range(body: Buffer): { readonly offset: number; readonly size: number } {
  return { offset: Number(body.readBigUInt64LE(8)), size: body.readUInt32LE(16) };
}

/** What a write carries. */
export function written(body: Buffer): Buffer {
  return body.subarray(headerBytes, headerBytes + range(body).size);
}

export function initReply(): Buffer {
  const out = Buffer.alloc(64);
  out.writeUInt32LE(7, 0);
  out.writeUInt32LE(31, 4);
  out.writeUInt32LE(131_072, 8);
  // Large writes, and as many pages as one holds.
  out.writeUInt32LE((1 << 5) | (1 << 22), 12);
  out.writeUInt16LE(16, 16);
  out.writeUInt16LE(12, 18);
  out.writeUInt32LE(writeBytesMax, 20);
  out.writeUInt32LE(1, 24);
  out.writeUInt16LE(writeBytesMax / 4096, 28);
  return out;
}

function attributes(node: bigint, bytes: number): Buffer {
  const out = Buffer.alloc(88);
  const size = node === fileNode ? bytes : 0;
  out.writeBigUInt64LE(node, 0);
  out.writeBigUInt64LE(BigInt(size), 8);
  out.writeBigUInt64LE(BigInt(size / 512), 16);
  out.writeUInt32LE(node === fileNode ? 0o100600 : 0o040700, 60);
  out.writeUInt32LE(1, 64);
  out.writeUInt32LE(4096, 80);
  return out;
}

export function entryReply(bytes: number): Buffer {
  const out = Buffer.alloc(40);
  out.writeBigUInt64LE(fileNode, 0);
  out.writeBigUInt64LE(3600n, 16);
  out.writeBigUInt64LE(3600n, 24);
  return Buffer.concat([out, attributes(fileNode, bytes)]);
}

export function attrReply(node: bigint, bytes: number): Buffer {
  const out = Buffer.alloc(16);
  out.writeBigUInt64LE(3600n, 0);
  return Buffer.concat([out, attributes(node, bytes)]);
}

/** Past the page cache: each request of the loop device comes here. */
export function openReply(): Buffer {
  const out = Buffer.alloc(16);
  out.writeUInt32LE(1, 8);
  return out;
}

export function writeReply(size: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeUInt32LE(size, 0);
  return out;
}

export function statfsReply(): Buffer {
  const out = Buffer.alloc(80);
  out.writeUInt32LE(4096, 40);
  out.writeUInt32LE(255, 44);
  out.writeUInt32LE(4096, 48);
  return out;
}

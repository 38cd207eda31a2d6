/**
 * WebHDFS in memory, as its NameNode and DataNode answer, in the two steps of the protocol: what it is told to say comes
 * before what it would do. One server is all of them; a path that begins with `/data` is the DataNode's.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { realClock } from '../../net/clock.ts';
import { createLog } from '../../telemetry/log.ts';
import { HdfsChecksum } from './checksum.ts';
import { hdfsSchema } from './config.ts';
import { HdfsBackend } from './hdfs.ts';

export type FakeAsk = {
  readonly method: string;
  readonly op: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** A DataNode is asked. */
  readonly data: boolean;
};
type Answer = { readonly status: number; readonly body?: Buffer | object; readonly headers?: Record<string, string> };
/** What happens instead. `hang`: nothing, ever; `lost`: it is done, and the connection cut; `cut`: after so many bytes. */
export type FakeFault = Answer | 'hang' | 'lost' | { readonly cut: number };
type Inode = { readonly id: number; readonly bytes?: Buffer<ArrayBuffer>; mtime: number };

const plan = { blockBytes: 1024 * 1024, chunkBytes: 512, crc: 'CRC32C' } as const;
const base = '/webhdfs/v1';

export class FakeHdfs implements AsyncDisposable {
  readonly inodes = new Inodes([['', { id: 1, mtime: 1 }]]);
  /** What was asked: `PUT CREATE /path`, of a DataNode `data PUT CREATE /path`. */
  readonly asked: string[] = [];
  fault: (ask: FakeAsk) => FakeFault | undefined = () => undefined;
  /** Entries on a page of a directory. */
  pageMax = 100;
  #ids = 1;
  readonly #server: Server = createServer((request, response) => void this.#serve(request, response));

  static async start(): Promise<FakeHdfs> {
    const fake = new FakeHdfs();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    fake.makeDirectory('/root');
    return fake;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A backend in its directory `/root`. */
  backend(more: object = {}, { stallMs = 5_000, shared = false, clock = realClock } = {}): HdfsBackend {
    const settings = hdfsSchema.parse({ nameNodes: [this.address], directory: '/root', user: 'shoal', ...more });
    const log = createLog({ role: 'origin', level: 'silent', name: '' });
    return new HdfsBackend(settings, { name: 'main', stallMs, shared, env: {}, clock, log });
  }

  makeDirectory(path: string): void {
    const parts = path.split('/').slice(1);
    for (let n = 1; n <= parts.length; n++) {
      const one = `/${parts.slice(0, n).join('/')}`;
      if (!this.inodes.has(one)) this.inodes.set(one, { id: ++this.#ids, mtime: Date.now() });
    }
  }

  /** HdfsNames below `path`, in order. */
  names(path: string): string[] {
    return [...(this.inodes.below.get(path) ?? [])].toSorted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake');
    const data = url.pathname.startsWith('/data');
    const path = decodeURIComponent(url.pathname.slice((data ? '/data' : '').length + base.length)).replace(/\/$/, '');
    const op = url.searchParams.get('op') ?? '';
    const ask = { method: request.method ?? '', op, path, query: url.searchParams, data };
    this.asked.push(`${data ? 'data ' : ''}${ask.method} ${op} ${path}`);
    const fault = this.fault(ask);
    if (fault === 'hang') return;
    const chunks: Buffer<ArrayBuffer>[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer<ArrayBuffer>);
    } catch {
      // The DataNode keeps what came.
      if (data && op === 'CREATE') this.#write(path, Buffer.concat(chunks));
      return;
    }
    const told = typeof fault === 'object' && 'status' in fault;
    const { status, body, headers = {} } = told ? fault : this.#do(ask, Buffer.concat(chunks));
    if (fault === 'lost') return void request.socket.destroy();
    const json = body !== undefined && !Buffer.isBuffer(body);
    const bytes = json ? Buffer.from(JSON.stringify(body)) : (body ?? Buffer.alloc(0));
    const type = json ? 'application/json' : 'application/octet-stream';
    response.writeHead(status, { 'content-type': type, 'content-length': `${bytes.length}`, ...headers });
    if (typeof fault !== 'object' || !('cut' in fault)) return void response.end(bytes);
    response.write(bytes.subarray(0, fault.cut), () => request.socket.destroy());
  }

  #do(ask: FakeAsk, bytes: Buffer<ArrayBuffer>): Answer {
    const { op, data, query } = ask;
    if (['CREATE', 'OPEN'].includes(op) && !data) {
      if (op === 'OPEN' && this.#at(ask.path).inode?.bytes === undefined) return missing(ask.path);
      return { status: 307, headers: { location: `/data${base}${encodeURI(ask.path)}?${query}` } };
    }
    const { path, inode } = this.#at(ask.path);
    switch (op) {
      case 'CREATE':
        if (inode !== undefined && query.get('overwrite') !== 'true')
          return failed(403, 'FileAlreadyExistsException', path);
        this.#write(path, bytes);
        return { status: 201 };
      case 'MKDIRS':
        return this.#makeDirectories(path);
      case 'RENAME':
        return this.#rename(path, query);
      case 'DELETE':
        return { status: 200, body: { boolean: this.inodes.delete(path) } };
      case 'GETSERVERDEFAULTS':
        return {
          status: 200,
          body: { FsServerDefaults: { blockSize: plan.blockBytes, bytesPerChecksum: 512, checksumType: 2 } },
        };
    }
    if (inode === undefined) return missing(path);
    if (op === 'OPEN') return opened(inode.bytes ?? Buffer.alloc(0), query);
    if (op === 'GETFILESTATUS') return { status: 200, body: { FileStatus: fileStatusOf('', inode) } };
    if (op === 'LISTSTATUS_BATCH') return this.#list(path, inode, query.get('startAfter') ?? '');
    if (op === 'GETFILECHECKSUM') return { status: 200, body: { FileChecksum: checksumOf(inode.bytes) } };
    return failed(400, 'IllegalArgumentException', `${op} is not a valid operation`);
  }

  #at(asked: string): { readonly path: string; readonly inode: Inode | undefined } {
    const id = /^\/\.reserved\/\.inodes\/(\d+)$/.exec(asked)?.[1];
    const path = id === undefined ? asked : [...this.inodes].find(([, inode]) => `${inode.id}` === id)?.[0];
    return { path: path ?? asked, inode: path === undefined ? undefined : this.inodes.get(path) };
  }

  #write(path: string, bytes: Buffer<ArrayBuffer>): void {
    this.makeDirectory(path.slice(0, path.lastIndexOf('/')));
    this.inodes.set(path, { id: ++this.#ids, bytes, mtime: Date.now() });
  }

  #makeDirectories(path: string): Answer {
    const parts = path.split('/');
    const file = parts.map((_, n) => parts.slice(0, n + 1).join('/')).find((one) => this.inodes.get(one)?.bytes);
    if (file !== undefined) return failed(403, 'ParentNotDirectoryException', `${file} (is not a directory)`);
    this.makeDirectory(path);
    return { status: 200, body: { boolean: true } };
  }

  #rename(from: string, query: URLSearchParams): Answer {
    const inode = this.inodes.get(from);
    const asked = query.get('destination') ?? '';
    const { path: to, inode: there } = this.#at(asked);
    const parent = this.inodes.get(to.slice(0, to.lastIndexOf('/')));
    if (
      inode === undefined ||
      (asked !== to && there === undefined) ||
      asked.startsWith('/.reserved/') !== (asked !== to)
    )
      return missing(asked);
    if (parent === undefined) return missing(to);
    if (there !== undefined && query.get('renameoptions') !== 'OVERWRITE')
      return failed(403, 'FileAlreadyExistsException', to);
    if (there !== undefined && there.bytes === undefined) return failed(403, 'IOException', 'must both be directories');
    this.inodes.delete(from);
    this.inodes.set(to, inode);
    return { status: 200 };
  }

  #list(path: string, inode: Inode, after: string): Answer {
    const names = inode.bytes === undefined ? this.names(path).filter((name) => name > after) : [''];
    const entry = (name: string) =>
      fileStatusOf(name, this.inodes.get(name === '' ? path : `${path}/${name}`) ?? inode);
    const FileStatus = names.slice(0, this.pageMax).map(entry);
    const remainingEntries = Math.max(0, names.length - this.pageMax);
    return {
      status: 200,
      body: { DirectoryListing: { partialListing: { FileStatuses: { FileStatus } }, remainingEntries } },
    };
  }
}

/** By their paths, and which names are below each. */
class Inodes extends Map<string, Inode> {
  declare below: Map<string, Set<string>>;

  override set(path: string, inode: Inode): this {
    this.below ??= new Map();
    const slash = path.lastIndexOf('/');
    if (slash >= 0) {
      const names = this.below.get(path.slice(0, slash)) ?? new Set();
      this.below.set(path.slice(0, slash), names.add(path.slice(slash + 1)));
    }
    return super.set(path, inode);
  }

  override delete(path: string): boolean {
    const slash = path.lastIndexOf('/');
    this.below.get(path.slice(0, slash))?.delete(path.slice(slash + 1));
    return super.delete(path);
  }
}

function fileStatusOf(pathSuffix: string, { id: fileId, bytes, mtime: modificationTime }: Inode): object {
  return {
    pathSuffix,
    fileId,
    modificationTime,
    type: bytes === undefined ? 'DIRECTORY' : 'FILE',
    length: bytes?.length ?? 0,
  };
}

function opened(bytes: Buffer, query: URLSearchParams): Answer {
  const start = Number(query.get('offset'));
  if (start >= bytes.length && bytes.length > 0) return failed(403, 'IOException', `Offset=${start} out of the range`);
  return { status: 200, body: bytes.subarray(start, start + Number(query.get('length'))) };
}

function checksumOf(bytes = Buffer.alloc(0)): object {
  const sum = new HdfsChecksum(plan);
  sum.update(bytes);
  return sum.digest();
}

export function failed(status: number, exception: string, message: string): Answer {
  return { status, body: { RemoteException: { exception, javaClassName: exception, message } } };
}

function missing(path: string): Answer {
  return failed(404, 'FileNotFoundException', `File does not exist: ${path}`);
}

/** A name server for one name, which answers what it is told to: addresses, that there are none, or nothing at all. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';

const headerBytes = 12;
const typeA = 1;
/** As short as one may say: asked again at once. */
const ttlSeconds = 1;
/** Back to the name in the question. */
const nameAt = 0xc0_0c;

export type Names = 'silent' | readonly string[];

export class NameServer implements AsyncDisposable {
  /** What it says from now on. */
  answer: Names;
  asked = 0;
  readonly #socket: Socket;

  private constructor(socket: Socket, answer: Names) {
    this.#socket = socket;
    this.answer = answer;
    socket.on('message', (question, from) => this.#reply(question, from));
  }

  static async start(host: string, answer: Names): Promise<NameServer> {
    const socket = createSocket('udp4');
    const server = new NameServer(socket, answer);
    socket.bind(0, host);
    await once(socket, 'listening');
    return server;
  }

  /** `address:port`, as a resolver is configured. */
  get at(): string {
    const { address, port } = this.#socket.address();
    return `${address}:${port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #reply(question: Buffer, from: RemoteInfo): void {
    this.asked += 1;
    if (this.answer === 'silent') return;
    const end = question.indexOf(0, headerBytes) + 5;
    const type = question.readUInt16BE(end - 4);
    const addresses = type === typeA ? this.answer : [];
    const header = Buffer.alloc(headerBytes);
    question.copy(header, 0, 0, 2);
    // A reply without error to a question that asked for recursion, of which there is one.
    header.writeUInt16BE(0x81_80, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(addresses.length, 6);
    const reply = Buffer.concat([header, question.subarray(headerBytes, end), ...addresses.map(record)]);
    this.#socket.send(reply, from.port, from.address);
  }
}

function record(address: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16BE(nameAt, 0);
  bytes.writeUInt16BE(typeA, 2);
  bytes.writeUInt16BE(1, 4);
  bytes.writeUInt32BE(ttlSeconds, 6);
  bytes.writeUInt16BE(4, 10);
  for (const [n, part] of address.split('.').entries()) bytes[12 + n] = Number(part);
  return bytes;
}

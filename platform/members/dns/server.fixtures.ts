/** A DNS server for tests: real UDP and TCP on a port of the loopback, whose answers change while it runs. */

import { createSocket } from 'node:dgram';
import { type AddressInfo, createServer } from 'node:net';
import { type Answer, decode, encode, type Packet, TRUNCATED_RESPONSE } from 'dns-packet';

/** nothing: it hangs. garbage: bytes that are no answer. */
type Behaviour = 'answers' | 'nothing' | 'garbage' | 'refuses';

const udpBytesMax = 1_232;

export class TestDns implements AsyncDisposable {
  /** By name; a name without records has none of the asked type, one that is not here is none. */
  readonly zone = new Map<string, Answer[]>();
  behaviour: Behaviour = 'answers';
  asked = 0;
  readonly port: number;
  readonly #close: () => Promise<void>;

  private constructor(port: number, close: () => Promise<void>) {
    this.port = port;
    this.#close = close;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  static async start(): Promise<TestDns> {
    const tcp = createServer((socket) => {
      let all = Buffer.alloc(0);
      socket.on('error', () => undefined);
      socket.on('data', (bytes) => {
        all = Buffer.concat([all, bytes]);
        if (all.length < 2 || all.length < 2 + all.readUInt16BE(0)) return;
        const answer = dns.#answer(all.subarray(2), Number.POSITIVE_INFINITY);
        if (answer === undefined) return;
        const head = Buffer.alloc(2);
        head.writeUInt16BE(Math.min(65_535, answer.length));
        socket.end(Buffer.concat([head, answer]));
      });
    });
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
    const { port } = tcp.address() as AddressInfo;
    const udp = createSocket('udp4');
    await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve));
    const dns = new TestDns(port, async () => {
      udp.close();
      tcp.close();
    });
    udp.on('message', (message, from) => {
      const answer = dns.#answer(message, udpBytesMax);
      if (answer !== undefined) udp.send(answer, from.port, from.address);
    });
    return dns;
  }

  /** The name has these addresses. */
  addresses(name: string, addresses: readonly string[], ttl = 5): void {
    const records = addresses.map((data): Answer => ({ type: data.includes(':') ? 'AAAA' : 'A', name, ttl, data }));
    this.zone.set(name, records);
  }

  services(
    name: string,
    services: readonly { target: string; port: number; weight?: number; priority?: number }[],
  ): void {
    const records = services.map((data): Answer => ({ type: 'SRV', name, ttl: 5, data }));
    this.zone.set(name, records);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }

  #answer(message: Buffer, bytesMax: number): Buffer | undefined {
    this.asked += 1;
    if (this.behaviour === 'nothing') return undefined;
    const { id = 0, questions = [] } = decode(message);
    const [question] = questions;
    const [name, type] = [question?.name ?? '', question?.type ?? 'A'];
    const packet: Packet = { type: 'response', id, questions, flags: 0x0180 };
    if (this.behaviour === 'garbage') {
      const whole = encode({ ...packet, answers: [{ type: 'A', name, ttl: 5, data: '10.0.0.1' }] });
      // The record says to be longer than the message is.
      whole.writeUInt16BE(60_000, whole.length - 6);
      return whole;
    }
    if (this.behaviour === 'refuses') return encode({ ...packet, flags: 0x0180 | 2 });
    const records = this.zone.get(name.toLowerCase());
    if (records === undefined) return encode({ ...packet, flags: 0x0180 | 3 });
    const whole = encode({ ...packet, answers: records.filter((record) => record.type === type) });
    return whole.length <= bytesMax ? whole : encode({ ...packet, flags: 0x0180 | TRUNCATED_RESPONSE });
  }
}

/**
 * From where a listener may be reached: `allow` of its configuration.
 *
 * Rule 1: who is not in it is cut off before a byte of his is read, counted, and told of once a while.
 * Rule 2: an IPv4 address is one whether it comes as itself or within IPv6; so is a network of them.
 * Rule 3: the list may be replaced under connections: those that are there go on, new ones go by the new list.
 */

import { BlockList, isIP } from 'node:net';
import { realClock } from '../net/clock.ts';
import type { LetsIn } from '../net/net.ts';
import { Episodes } from '../telemetry/episodes.ts';
import type { LineLog } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

const [bitsOfIPv4, bitsOfIPv6] = [32, 128];
/** `::ffff:0:0/96`: IPv4 within IPv6. */
const mappedBits = 96;

/** What a list says that has been taken out of the configuration. */
export const everybody: readonly string[] = ['0.0.0.0/0', '::/0'];

export type AllowedOptions = {
  /** The listener's name in the configuration. */
  readonly listener: string;
  readonly networks: readonly string[];
  readonly log: Pick<LineLog, 'info' | 'warn'>;
  readonly metrics: Metrics;
};

export class Allowed implements Disposable {
  readonly #refused: () => void;
  readonly #troubles: Episodes;
  readonly #listener: string;
  #list: BlockList;

  constructor({ listener, networks, log, metrics }: AllowedOptions) {
    this.#listener = listener;
    this.#troubles = new Episodes(log, realClock);
    const text = 'Connections from addresses that are not in `allow` of the listener';
    const counter = metrics.counter('connections_refused_total', text, ['listener']);
    this.#refused = () => counter.inc({ listener });
    this.#list = listOf(networks);
  }

  /** From now on. */
  replace(networks: readonly string[]): void {
    this.#list = listOf(networks);
  }

  readonly letsIn: LetsIn = (remote) => {
    const address = plain(remote);
    if (isIP(address) !== 0 && this.#list.check(address, family(address))) return true;
    this.#refused();
    const listener = this.#listener;
    this.#troubles.came(address, { listener, from: address }, 'refused: its address is not in `allow`');
    return false;
  };

  [Symbol.dispose](): void {
    this.#troubles[Symbol.dispose]();
  }
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [written = '', given] = network.split('/');
    const address = plain(written);
    const of = family(address);
    const within = isIP(written) === 6 && of === 'ipv4' ? mappedBits : 0;
    const bits = given === undefined ? (of === 'ipv4' ? bitsOfIPv4 : bitsOfIPv6) : Number(given) - within;
    list.addSubnet(address, Math.max(bits, 0), of);
    // A network that has all of IPv4 in it, and more.
    if (bits < 0) list.addSubnet(written, Number(given), 'ipv6');
  }
  return list;
}

const family = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** Without a zone, and IPv4 as it is; `::ffff:a01:203` is 10.1.2.3 as well. */
function plain(address: string): string {
  const bare = address.split('%', 1)[0] as string;
  if (isIP(bare) !== 6) return bare;
  const [, dotted, high, low] = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i.exec(bare) ?? [];
  if (dotted !== undefined) return dotted;
  if (high === undefined || low === undefined) return bare;
  const number = Number.parseInt(high, 16) * 2 ** 16 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
}

/**
 * Hosts with shaped links on one machine: a network namespace each, joined by a bridge in a namespace of its own.
 * Every host's link is shaped both ways by tbf: what it sends on its own side, what it gets on the bridge's side.
 * Beside it each host has an unshaped link to the machine itself, over which the bench gives orders and reads.
 *
 * Rule 1: everything made here is removed with the stack, or when the process ends; nothing of the machine's own
 *   network is changed.
 * Rule 2: bursts of 80 kB or more: with less the kernel cuts large packets in software and the cores, not the
 *   links, become the limit.
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { undoneAtExit } from '../../harness/at-exit.ts';
import { BenchError, Skipped } from '../../harness/error.ts';
import { hasProgram } from '../../harness/programs.ts';

export type Congestion = 'bbr' | 'reno' | 'cubic';
export type LinkShape = {
  /** Bytes a second, each way. */
  readonly bytesPerS: number;
  /** What the queue before a link holds, milliseconds at its rate. */
  readonly queueMs: number;
  readonly congestion: Congestion;
};

export type Host = {
  /** On the shaped network. */
  readonly address: string;
  /** Where the machine itself reaches it, unshaped. */
  readonly control: string;
  /** Put before a command line, runs it on this host. */
  readonly on: readonly string[];
};

const burst = '80kb';
const mtuBytes = 1500;

/** Throws Skipped where this machine or user cannot make namespaces. */
export function needNamespaces(): void {
  if (process.getuid?.() !== 0) throw new Skipped('needs root, for network namespaces');
  for (const program of ['ip', 'tc']) {
    if (!hasProgram(program)) throw new Skipped(`needs ${program} (apt-get install iproute2)`);
  }
}

/** `shaped` hosts behind links of that shape, then `open` ones without. */
export function makeNetwork(stack: AsyncDisposableStack, shaped: number, open: number, shape: LinkShape): Host[] {
  const label = `shb${process.pid}`;
  const net = 100 + (process.pid % 100);
  const wires = `${label}-w`;
  const names = Array.from({ length: shaped + open }, (_, i) => `${label}-${i}`);
  undoneAtExit(stack, () => {
    for (const name of [...names, wires]) spawnSync('ip', ['netns', 'del', name]);
  });
  batch(
    'ip',
    [],
    [wires, ...names].map((name) => `netns add ${name}`),
  );
  batch('ip', ['-n', wires], ['link add hub type bridge', 'link set hub up', 'link set lo up']);
  for (const kind of ['iptables', 'ip6tables', 'arptables']) setIn(wires, `net/bridge/bridge-nf-call-${kind}`, '0');
  const hosts = names.map((name, i) => makeHost({ name, wires, i, net, congestion: shape.congestion }));
  for (let i = 0; i < shaped; i++) shapeLink(names[i] as string, wires, i, shape);
  return hosts;
}

type HostPlan = {
  readonly name: string;
  readonly wires: string;
  readonly i: number;
  readonly net: number;
  readonly congestion: Congestion;
};

function makeHost({ name, wires, i, net, congestion }: HostPlan): Host {
  const address = `10.${net}.0.${i + 1}`;
  const control = `10.${net}.${i + 1}.2`;
  const outside = `${name.replace('-', 'c')}`;
  batch(
    'ip',
    ['-n', name],
    [
      'link set lo up',
      `link add eth0 type veth peer name p${i} netns ${wires}`,
      `address add ${address}/24 dev eth0`,
      'link set eth0 up',
    ],
  );
  batch('ip', ['-n', wires], [`link set p${i} master hub`, `link set p${i} up`]);
  batch(
    'ip',
    [],
    [
      `link add ${outside} type veth peer name control netns ${name}`,
      `address add 10.${net}.${i + 1}.1/30 dev ${outside}`,
      `link set ${outside} up`,
    ],
  );
  batch('ip', ['-n', name], [`address add ${control}/30 dev control`, 'link set control up']);
  setIn(name, 'net/ipv4/tcp_congestion_control', congestion);
  return { address, control, on: ['ip', 'netns', 'exec', name] };
}

function shapeLink(name: string, wires: string, i: number, { bytesPerS, queueMs }: LinkShape): void {
  const limit = Math.max(100 * mtuBytes, Math.round((bytesPerS * queueMs) / 1000));
  const tbf = `root tbf rate ${bytesPerS * 8}bit burst ${burst} limit ${limit}`;
  batch('tc', ['-n', name], [`qdisc add dev eth0 ${tbf}`]);
  batch('tc', ['-n', wires], [`qdisc add dev p${i} ${tbf}`]);
}

function batch(program: 'ip' | 'tc', options: readonly string[], commands: readonly string[]): void {
  const { status, stderr } = spawnSync(program, [...options, '-batch', '-'], { input: `${commands.join('\n')}\n` });
  if (status !== 0) throw new BenchError(`${program} ${options.join(' ')}: ${stderr}of: ${commands.join('; ')}`);
}

/** Sets what exists; a kernel without the bridge's netfilter has nothing to switch off. */
function setIn(namespace: string, key: string, value: string): void {
  const file = `/proc/sys/${key}`;
  if (!existsSync(file)) return;
  const script = `echo ${value} > ${file}`;
  const { status, stderr } = spawnSync('ip', ['netns', 'exec', namespace, 'sh', '-c', script]);
  if (status !== 0) throw new BenchError(`${key}=${value} in ${namespace}: ${stderr}`);
}

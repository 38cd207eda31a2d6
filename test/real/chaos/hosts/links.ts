/** What befalls a node's link to the data centre's network: cut, deaf to one other, narrow, lossy. Each is undone by its own end. */
import { run } from '../../processes.ts';
import type { Node } from '../plan/topology.ts';
import { dataAddress, dataDevice, hostOf, portOf, wiresOf } from './wiring.ts';

/** Of a shaped link: what may wait, and what may go at once. */
const shape = ['burst', '256kb', 'latency', '400ms'];

type Undo = () => Promise<void>;

/** The cable is out: at the switch's end, as the host's own sees it as well. */
export async function cutLink(label: string, node: Node): Promise<Undo> {
  const set = (to: string) => run('ip', ['-n', wiresOf(label), 'link', 'set', portOf(node), to]);
  await set('down');
  return async () => void (await set('up'));
}

/** Packets of that peer, and to it, vanish without a word. */
export async function splitFrom(label: string, node: Node, peer: Node): Promise<Undo> {
  const from = ['INPUT', '-i', dataDevice, '-s', dataAddress(peer), '-j', 'DROP'];
  const to = ['OUTPUT', '-o', dataDevice, '-d', dataAddress(peer), '-j', 'DROP'];
  return await withRules(label, node, [from, to]);
}

/** That many per cent of what comes are lost, and of what goes. */
export async function loseOn(label: string, node: Node, perCent: number): Promise<Undo> {
  const some = ['-m', 'statistic', '--mode', 'random', '--probability', `${perCent / 100}`, '-j', 'DROP'];
  return await withRules(label, node, [
    ['INPUT', '-i', dataDevice, ...some],
    ['OUTPUT', '-o', dataDevice, ...some],
  ]);
}

/** Both ways, each at its sender's end. */
export async function shapeLink(label: string, node: Node, mbits: number): Promise<Undo> {
  const ends = [
    [hostOf(label, node), dataDevice],
    [wiresOf(label), portOf(node)],
  ] as const;
  const rate = ['root', 'tbf', 'rate', `${mbits}mbit`, ...shape];
  for (const [namespace, device] of ends) await run('tc', ['-n', namespace, 'qdisc', 'add', 'dev', device, ...rate]);
  return async () => {
    for (const [namespace, device] of ends) await run('tc', ['-n', namespace, 'qdisc', 'del', 'dev', device, 'root']);
  };
}

async function withRules(label: string, node: Node, rules: readonly (readonly string[])[]): Promise<Undo> {
  const iptables = (what: string, rule: readonly string[]) =>
    run('ip', ['netns', 'exec', hostOf(label, node), 'iptables', '-w', what, ...rule]);
  for (const rule of rules) await iptables('-A', rule);
  return async () => {
    for (const rule of rules) await iptables('-D', rule);
  };
}

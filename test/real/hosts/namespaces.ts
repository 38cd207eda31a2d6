/**
 * Hosts on this machine: network namespaces with an address each, joined by a bridge in one more namespace, so that
 * nothing of the machine's own network is touched. Everything goes with the stack.
 */
import { run } from '../processes.ts';

export type Host = {
  readonly address: string;
  /** The command line that runs a program on this host. */
  readonly on: (...command: string[]) => string[];
};

const ip = (...args: string[]): Promise<string> => run('ip', args);

/** `count` hosts with the addresses `prefix`.1, .2, … that reach each other and nothing else. */
export async function makeHosts(stack: AsyncDisposableStack, prefix: string, count: number): Promise<Host[]> {
  const label = `shoal${process.pid}`;
  const make = async (name: string): Promise<string> => {
    await ip('netns', 'add', name);
    stack.defer(async () => {
      await ip('netns', 'del', name);
    });
    await ip('-n', name, 'link', 'set', 'lo', 'up');
    return name;
  };
  const wires = await make(`${label}-wires`);
  await ip('-n', wires, 'link', 'add', 'bridge', 'type', 'bridge');
  await ip('-n', wires, 'link', 'set', 'bridge', 'up');
  const hosts: Host[] = [];
  for (let n = 1; n <= count; n++) {
    const name = await make(`${label}-${n}`);
    await ip('-n', wires, 'link', 'add', `port${n}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    await ip('-n', wires, 'link', 'set', `port${n}`, 'master', 'bridge', 'up');
    await ip('-n', name, 'address', 'add', `${prefix}.${n}/24`, 'dev', 'eth0');
    await ip('-n', name, 'link', 'set', 'eth0', 'up');
    hosts.push({ address: `${prefix}.${n}`, on: (...command) => ['ip', 'netns', 'exec', name, ...command] });
  }
  return hosts;
}

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

/** A bridge, in the namespace `wires`. */
export type Bridge = { readonly wires: string; readonly name: string };
/** A host's end of a link. */
export type Plug = { readonly namespace: string; readonly device: string; readonly address: string };

const ip = (...args: string[]): Promise<string> => run('ip', args);

/** The command line that runs a program there. */
export function inNamespace(name: string, command: readonly string[]): string[] {
  return ['ip', 'netns', 'exec', name, ...command];
}

export async function makeNamespace(name: string): Promise<void> {
  await ip('netns', 'add', name);
  await ip('-n', name, 'link', 'set', 'lo', 'up');
}

export async function makeBridge({ wires, name }: Bridge): Promise<void> {
  await ip('-n', wires, 'link', 'add', name, 'type', 'bridge');
  await ip('-n', wires, 'link', 'set', name, 'up');
}

/** Links a host to the bridge, whose end is called `port`. */
export async function plugIn({ wires, name }: Bridge, port: string, plug: Plug): Promise<void> {
  const { namespace, device, address } = plug;
  await ip('-n', wires, 'link', 'add', port, 'type', 'veth', 'peer', 'name', device, 'netns', namespace);
  await ip('-n', wires, 'link', 'set', port, 'master', name, 'up');
  await ip('-n', namespace, 'address', 'add', `${address}/24`, 'dev', device);
  await ip('-n', namespace, 'link', 'set', device, 'up');
}

/** `count` hosts with the addresses `prefix`.1, .2, … that reach each other and nothing else. */
export async function makeHosts(stack: AsyncDisposableStack, prefix: string, count: number): Promise<Host[]> {
  const label = `shoal${process.pid}`;
  const make = async (name: string): Promise<string> => {
    await makeNamespace(name);
    stack.defer(async () => {
      await ip('netns', 'del', name);
    });
    return name;
  };
  const bridge = { wires: await make(`${label}-wires`), name: 'bridge' };
  await makeBridge(bridge);
  const hosts: Host[] = [];
  for (let n = 1; n <= count; n++) {
    const namespace = await make(`${label}-${n}`);
    const address = `${prefix}.${n}`;
    await plugIn(bridge, `port${n}`, { namespace, device: 'eth0', address });
    hosts.push({ address, on: (...command) => inNamespace(namespace, command) });
  }
  return hosts;
}

/**
 * The hosts of the cluster as namespaces with two links each: `eth0` is the data centre's network, which faults befall;
 * `eth1` leads to whoever uses and watches the nodes, as a host's own container runtime would, and is left alone.
 *
 * Nothing is taken away here: sweep.ts finds all of it by the label.
 */
import { inNamespace, makeBridge, makeNamespace, plugIn } from '../../hosts/namespaces.ts';
import type { Node } from '../plan/topology.ts';

/** Where faults befall; the same in each run, as namespaces know nothing of each other. */
const dataPrefix = '10.79.0';
const controlPrefix = '10.79.1';
/** The last one: no node has it. */
const clientsNo = 254;

export const dataDevice = 'eth0';

/** By what a run's namespaces are found. */
export const labelOf = (pid: number): string => `shch${pid}`;
export const clientsOf = (label: string): string => `${label}-clients`;
export const wiresOf = (label: string): string => `${label}-wires`;
export const portOf = ({ no }: Node): string => `data${no}`;
export const hostOf = (label: string, { name }: Node): string => `${label}-${name}`;
export const dataAddress = ({ no }: Node): string => `${dataPrefix}.${no}`;
export const controlAddress = ({ no }: Node): string => `${controlPrefix}.${no}`;

/** Where the clients are: they reach every node, on the link that faults leave alone. */
export async function wireClients(label: string): Promise<void> {
  const wires = wiresOf(label);
  await makeNamespace(wires);
  for (const name of ['data', 'control']) await makeBridge({ wires, name });
  await makeNamespace(clientsOf(label));
  const plug = { namespace: clientsOf(label), device: 'eth1', address: `${controlPrefix}.${clientsNo}` };
  await plugIn({ wires, name: 'control' }, 'clients', plug);
}

export async function wireNode(label: string, node: Node): Promise<void> {
  const [wires, namespace] = [wiresOf(label), hostOf(label, node)];
  await makeNamespace(namespace);
  const data = { namespace, device: dataDevice, address: dataAddress(node) };
  await plugIn({ wires, name: 'data' }, portOf(node), data);
  const control = { namespace, device: 'eth1', address: controlAddress(node) };
  await plugIn({ wires, name: 'control' }, `control${node.no}`, control);
}

export const onHost = (label: string, node: Node, command: readonly string[]): string[] =>
  inNamespace(hostOf(label, node), command);

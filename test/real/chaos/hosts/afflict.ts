/** A fault of the plan befalls its node; what is returned mends it. */
import type { Fault } from '../plan/faults.ts';
import type { Node } from '../plan/topology.ts';
import { setClock } from './clock.ts';
import { breakDisk, emptyDisk, fillDisk, renewDisk } from './disk.ts';
import { cutLink, loseOn, shapeLink, splitFrom } from './links.ts';
import type { NodeProcess } from './nodes.ts';

export type Afflicted = { readonly label: string; readonly of: (name: string) => NodeProcess };

export async function afflict(fault: Fault, { label, of }: Afflicted): Promise<() => Promise<void>> {
  const it = of(fault.target);
  switch (fault.kind) {
    case 'kill':
      await it.kill();
      return async () => it.start();
    case 'lost':
      await it.kill();
      await renewDisk(diskOf(it));
      return async () => it.start();
    case 'dead':
      await breakDisk(diskOf(it));
      return async () => {
        await it.kill();
        await renewDisk(diskOf(it));
        it.start();
      };
    case 'stop':
      it.signal('SIGSTOP');
      return async () => it.signal('SIGCONT');
    case 'full':
      await fillDisk(diskOf(it));
      return () => emptyDisk(diskOf(it));
    case 'cut':
      return await cutLink(label, it.node);
    case 'split':
      return await splitFrom(label, it.node, peerOf(fault, of));
    case 'shaped':
      return await shapeLink(label, it.node, fault.amount);
    case 'lossy':
      return await loseOn(label, it.node, fault.amount);
    case 'clock':
      await setClock(it.clock, fault.amount);
      return () => setClock(it.clock, 0);
  }
}

function diskOf({ disk, node }: NodeProcess) {
  if (disk === undefined) throw new Error(`${node.name} has no disk`);
  return disk;
}

function peerOf({ peer, no }: Fault, of: Afflicted['of']): Node {
  if (peer === undefined) throw new Error(`fault ${no} names no peer`);
  return of(peer).node;
}

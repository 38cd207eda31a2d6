/** What a store stands on: its directories, whether they are ours, and a disk that knows which volume each file is on. */

import { resolve } from 'node:path';
import type { PieceIo } from '../../workers/piece-io.ts';
import type { Disk } from '../disk/disk.ts';
import { RealDisk } from '../disk/real-disk.ts';
import { Layout } from '../layout.ts';
import type { BlobStoreOptions } from '../options.ts';
import { claim, type RecoverOptions, type StoreLog } from '../recover.ts';
import { VolumeGuard } from './guard.ts';
import type { VolumePlan } from './volume.ts';
import { Volumes } from './volumes.ts';

export type Ground = {
  readonly disk: Disk;
  readonly io: PieceIo;
  readonly layout: Layout;
  readonly volumes: Volumes;
  readonly recover: RecoverOptions;
  /** Unlocks the directories. */
  readonly leave: () => Promise<void>;
};

const silent: StoreLog = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** The data directory first. Where others are named it takes nothing new, unless it is among them. */
export function plansOf(dir: string, named: readonly VolumePlan[] = []): VolumePlan[] {
  const path = resolve(dir);
  const all = named.map((plan) => ({ ...plan, path: resolve(plan.path) }));
  const own = all.find((plan) => plan.path === path) ?? { path, weight: all.length === 0 ? 1 : 0 };
  return [own, ...all.filter((plan) => plan.path !== path)];
}

/** Throws StartError where the directory is another's, of another format, in use, or not usable. */
export async function takeGround(o: BlobStoreOptions): Promise<Ground> {
  const raw = o.disk ?? new RealDisk();
  const log = o.log ?? silent;
  const plans = plansOf(o.dir, o.volumes);
  const layout = new Layout(
    resolve(o.dir),
    plans.slice(1).map(({ path }) => path),
  );
  const watch = o.watch ?? (o.disk === undefined ? {} : { lookMs: 0 });
  const volumes = new Volumes({ disk: raw, layout, role: o.role, plans, log, ...watch });
  const recover = { disk: raw, layout, log, synced: o.synced, keeps: o.keeps, volumes };
  const unlock = await claim(recover, o.role);
  let guard: VolumeGuard | undefined;
  const leave = async (): Promise<void> => {
    guard?.close();
    await volumes.close();
    await unlock();
  };
  try {
    await volumes.open();
  } catch (error) {
    await leave();
    throw error;
  }
  // A disk that is made to fail is not watched, unless that is what is tried.
  if (o.disk !== undefined && o.watch === undefined)
    return { disk: raw, io: o.workers, layout, volumes, recover, leave };
  guard = new VolumeGuard({
    disk: raw,
    io: o.workers,
    volumes: layout.volumes.map(({ dir }, no) => ({ dir, ops: volumes.opsOf(no) })),
    suspect: (volume, code, what) => volumes.suspect(volume, code, what),
  });
  const { disk, io } = guard;
  return { disk, io, layout, volumes, recover: { ...recover, disk }, leave };
}

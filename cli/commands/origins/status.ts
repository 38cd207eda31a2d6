/** `shoal origin status`: the volumes that its blobs lie on, and how they are. */

import type { VolumeStatus } from '../../../core/contracts/volumes.ts';
import { CallContext } from '../../../platform/clients/context.ts';
import { bytesText } from '../../ui/format.ts';
import type { OriginOptions } from './blobs.ts';
import { OriginAdminClient } from './client.ts';

export async function originStatus({ origin, json, signal }: OriginOptions): Promise<string> {
  await using admin = new OriginAdminClient(origin);
  const volumes = await admin.volumes(CallContext.begin({ signal }));
  return json ? JSON.stringify({ volumes }) : volumes.map(volumeText).join('\n');
}

function volumeText({ path, state, why, weight, blobs, usedBytes, freeBytes }: VolumeStatus): string {
  const free = freeBytes === undefined ? '' : `, ${bytesText(freeBytes)} free`;
  const takes = weight === 0 ? ', takes nothing new' : '';
  const wrong = why === '' ? '' : `\n  ${why}`;
  return `volume ${path}  ${state}  ${blobs} blobs, ${bytesText(usedBytes)}${free}${takes}${wrong}`;
}

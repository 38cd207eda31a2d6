/**
 * What HDFS says of a file that was written: whether it is what was sent.
 *
 * Rule: its length always; its checksum where that is of the bytes themselves, and cut as we did. A file that is encrypted
 *       or erasure-coded has another one, and counts by its length.
 */

import * as z from 'zod';
import { BackendError } from '../backend.ts';
import type { HdfsChecksum } from './checksum.ts';
import type { About, HdfsPlace } from './place.ts';
import type { HdfsStatus } from './status.ts';

const shape = z.object({ FileChecksum: z.object({ algorithm: z.string(), bytes: z.string() }) });

export type Sent = {
  /** Of the backend. */
  readonly name: string;
  readonly path: string;
  readonly size: number;
  readonly sum: ReturnType<HdfsChecksum['digest']> | undefined;
};

export async function confirmed(place: HdfsPlace, { name, path, size, sum }: Sent, about: About): Promise<HdfsStatus> {
  const damaged = (what: string): BackendError =>
    new BackendError('damaged', `${name}: ${about.object ?? path} was written, and HDFS ${what}: it is written again`);
  const is = await place.status(path, about);
  if (is === undefined) throw damaged('does not have it');
  if (is.length !== size) throw damaged(`has ${is.length} bytes of ${size}`);
  if (sum === undefined || size === 0 || is.encBit === true || is.ecBit === true) return is;
  const answer = await place.web.follow({ method: 'GET', op: 'GETFILECHECKSUM', path, ...about });
  const given = shape.safeParse(await answer.json());
  if (!given.success) throw answer.wrong('unavailable', 'answers JSON that is none of WebHDFS');
  const { algorithm, bytes } = given.data.FileChecksum;
  if (algorithm === sum.algorithm && !bytes.toLowerCase().startsWith(sum.bytes)) throw damaged('has another checksum');
  return is;
}

/**
 * Writes that another cluster made, and sends here with their versions (docs/replication.md); loaded with the first one.
 *
 * Rule 1: a version is believed of who shows one of our secrets, compared in constant time. Without a secret it is passed
 *   over, and the write is one of ours as any other. With one that is not ours the write is refused: as one of ours it
 *   would go back to where it came from as a new one, for ever.
 * Rule 2: what is a secret is read when it is used, so that it may be changed in its file.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ApiError } from '../core/contracts/errors.ts';
import type { TagVersion } from '../core/contracts/index-api.ts';
import { REPLICATION_HEADERS, type ReplicationTaken, tagVersionIn } from '../core/contracts/replicate/headers.ts';
import type { IndexClient } from '../platform/clients/index-client.ts';
import type { OciContext, OciReply } from '../platform/registry/reply.ts';

/** Whose versions are believed. Undefined: nobody's. */
export type ReceiveSettings = {
  readonly tokens: readonly string[];
  /** One a line. */
  readonly tokenFile?: string | undefined;
};

const lineBytesMin = 16;

/** The version of the write as it was made elsewhere; undefined: it is made here. Throws DENIED, REQUEST_INVALID. */
export async function receivedVersion(
  context: Pick<OciContext, 'header'>,
  settings: ReceiveSettings | undefined,
): Promise<TagVersion | undefined> {
  const said = context.header(REPLICATION_HEADERS.version);
  const token = context.header(REPLICATION_HEADERS.token);
  if (said === undefined || token === undefined) return undefined;
  const taken = await takenOf(token, settings);
  if (taken === 'off')
    throw new ApiError(
      'DENIED',
      'this cluster takes no versions of others: set `replication.receive` of its proxies, or leave out the secret',
    );
  if (taken === 'refused')
    throw new ApiError('DENIED', "the secret is none of this cluster's: look at `replication.receive` of its proxies");
  const version = tagVersionIn(said);
  if (version.ok) return version.value;
  throw new ApiError('REQUEST_INVALID', version.problem);
}

/** Who we are, and whether what this sender says of versions is believed: the answer to GET /v2/ of who asks for it. */
export async function introduced(
  index: Pick<IndexClient, 'identity'>,
  context: Pick<OciContext, 'header' | 'call'>,
  settings: ReceiveSettings | undefined,
): Promise<OciReply> {
  const cluster = await index.identity(context.call);
  const taken = await takenOf(context.header(REPLICATION_HEADERS.token), settings);
  const headers = {
    [REPLICATION_HEADERS.cluster]: cluster,
    [REPLICATION_HEADERS.taken]: taken,
    [REPLICATION_HEADERS.deletions]: 'taken',
  };
  return { kind: 'json', value: {}, headers };
}

async function takenOf(token: string | undefined, settings: ReceiveSettings | undefined): Promise<ReplicationTaken> {
  if (settings === undefined) return 'off';
  const ours = [...settings.tokens, ...(await tokensIn(settings.tokenFile))];
  const shown = hashed(token ?? '');
  // Each is compared, so that time does not tell which one it was.
  const right = ours.filter((one) => timingSafeEqual(hashed(one), shown)).length > 0;
  return right && token !== undefined ? 'taken' : 'refused';
}

async function tokensIn(file: string | undefined): Promise<readonly string[]> {
  if (file === undefined) return [];
  try {
    const lines = (await readFile(file, 'utf8')).split('\n').map((line) => line.trim());
    return lines.filter((line) => Buffer.byteLength(line) >= lineBytesMin);
  } catch (error) {
    const why = (error as Error).message;
    throw new ApiError('UNAVAILABLE', `\`replication.receive.tokenFile\` of this proxy cannot be read: ${why}`);
  }
}

/** Of one length, whatever it is of. */
function hashed(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** `shoal origin ls|stat|verify|evict`: what lies on one origin, and what an operator does about it. */

import type { HeldBlob, Unwritten, Verification } from '../../../core/contracts/origin-admin.ts';
import type { Digest } from '../../../core/digest.ts';
import { CallContext } from '../../../platform/clients/context.ts';
import { Failure } from '../../failure.ts';
import { bytesText, foreignText, percentText } from '../../ui/format.ts';
import { Progress, type Screen } from '../../ui/progress.ts';
import { type AskedOrigin, OriginAdminClient } from './client.ts';

export type OriginOptions = {
  readonly origin: AskedOrigin;
  /** One JSON object a line, in place of what people read. */
  readonly json: boolean;
  readonly signal: AbortSignal;
  readonly screen: Screen;
};
type Say = (line: string) => void;

/** `--to`: bytes, or percent of the budget. */
export type EvictTarget = { readonly toBytes: number } | { readonly toPercent: number };

export async function listBlobs({ origin, json, signal }: OriginOptions, say: Say): Promise<void> {
  await using admin = new OriginAdminClient(origin);
  for await (const blob of admin.blobs(CallContext.begin({ signal }))) {
    say(json ? JSON.stringify(blob) : `${blob.digest}  ${blob.state.padEnd('partial'.length)}  ${blob.size}`);
  }
}

export async function blobStatus(digest: Digest, { origin, json, signal }: OriginOptions): Promise<string> {
  await using admin = new OriginAdminClient(origin);
  const status = await admin.status(digest, CallContext.begin({ signal }));
  if (json) return JSON.stringify(status);
  const { size, state, held, pieces, pieceLength, inUse, owners, unwritten } = status;
  const failed = ({ cause, message, dead }: Unwritten): string =>
    `${dead ? ', dead' : ''}${cause === '' ? '' : `, ${cause}: ${foreignText(message)}`}`;
  return [
    `digest  ${digest}`,
    `size    ${size} (${bytesText(size)})`,
    `state   ${state}${inUse ? ', in use' : ''}`,
    `pieces  ${held} of ${pieces}, ${pieceLength} bytes each`,
    `owners  ${owners.join(', ')}`,
    ...unwritten.map((one) => `backend ${one.backend} has not confirmed it yet${failed(one)}`),
  ].join('\n');
}

/** Of `digests`, or of all that is whole. Throws Failure where anything is wrong. */
export async function verifyBlobs(digests: readonly Digest[], options: OriginOptions, say: Say): Promise<void> {
  const { origin, json, signal, screen } = options;
  await using admin = new OriginAdminClient(origin);
  const call = CallContext.begin({ signal });
  const blobs = await chosen(admin, digests, call);
  const progress = new Progress(screen);
  const [bar] = progress.begin([{ label: 'verified', total: blobs.reduce((sum, { size }) => sum + size, 0) }]);
  const count: Record<Verification['result'], number> = { right: 0, decayed: 0, wrong: 0, unread: 0 };
  for (const { digest, size } of blobs) {
    const found = await admin.verify(digest, call);
    count[found.result]++;
    if (json) say(JSON.stringify({ digest, ...found }));
    else if (found.result !== 'right') progress.say(`${digest}: ${found.result}: ${found.why}`);
    if (bar !== undefined) progress.advance(bar, size);
  }
  progress.finish();
  const { right, decayed, wrong, unread } = count;
  const line = `${right} right, ${decayed} decayed (being fetched again), ${wrong} wrong (removed, and sought elsewhere), ${unread} unread`;
  if (decayed + wrong + unread > 0) throw new Failure(line);
  if (!json) say(line);
}

/** Throws Failure where not all that was asked for went. */
export async function evictBlobs(
  what: readonly Digest[] | EvictTarget,
  options: OriginOptions,
  say: Say,
): Promise<void> {
  const { origin, json, signal } = options;
  await using admin = new OriginAdminClient(origin);
  const call = CallContext.begin({ signal });
  for (let before = Number.POSITIVE_INFINITY; ; ) {
    const reply = await admin.evict('toBytes' in what || 'toPercent' in what ? what : { digests: what }, call);
    const { evicted, usedBytes, budgetBytes, done, why } = reply;
    // A step frees so much at a time; where one frees nothing, no other will.
    if (!done && why === undefined && usedBytes < before) {
      before = usedBytes;
      continue;
    }
    if (json) say(JSON.stringify(reply));
    const used = `${bytesText(usedBytes)} of ${bytesText(budgetBytes)} are used (${percentText(usedBytes / budgetBytes)})`;
    const went = evicted.length > 0 ? `${evicted.length} evicted; ` : '';
    if (!done) throw new Failure(`${went}not all that was asked for could go: ${why ?? 'nothing more goes'}; ${used}`);
    if (!json) say(`${went}${used}`);
    return;
  }
}

async function chosen(
  admin: OriginAdminClient,
  digests: readonly Digest[],
  call: CallContext,
): Promise<readonly HeldBlob[]> {
  if (digests.length > 0) return await Promise.all(digests.map((digest) => admin.status(digest, call)));
  const all: HeldBlob[] = [];
  for await (const blob of admin.blobs(call)) if (blob.state === 'whole') all.push(blob);
  return all;
}

/**
 * `--kill PART@WHEN` (hidden): kill -9 of one part in the middle of the demo. The crash test uses it.
 * WHEN is `push` (half of the image is pushed), or a fraction of all bytes that the agents' clients pull.
 */

import { StartError } from '../../platform/lifecycle/errors.ts';

export type Kill = { readonly part: string; readonly stage: 'push' | 'pull'; readonly at: number };

const pushAt = 0.5;

export function parseKill(text: string, parts: readonly string[]): Kill {
  const [part = '', when = ''] = text.split('@');
  const at = when === 'push' ? pushAt : Number(when || Number.NaN);
  if (!parts.includes(part))
    throw new StartError(`--kill ${text}: there is no part "${part}": choose of ${parts.join(', ')}`);
  if (!(at >= 0 && at <= 1))
    throw new StartError(`--kill ${text}: write PART@push, or PART@FRACTION with a fraction from 0 to 1`);
  return { part, stage: when === 'push' ? 'push' : 'pull', at };
}

/** Calls `act` once, when `share` of `stage` has reached the point. */
export function killer(
  kill: Kill | undefined,
  act: (part: string) => void,
): (stage: Kill['stage'], share: number) => void {
  let armed = kill;
  return (stage, share) => {
    if (armed === undefined || armed.stage !== stage || share < armed.at) return;
    const { part } = armed;
    armed = undefined;
    act(part);
  };
}

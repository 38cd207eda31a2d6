/** How the shell's commands try again: patient once something moved, quick to say that nothing runs there. */

import { Persistence } from '../../platform/clients/registry/persistence.ts';
import type { Progress } from '../ui/progress.ts';

const silenceMs = 60_000;
const coldMs = 2_000;

export function shellPersistence(progress: Progress, signal: AbortSignal): Persistence {
  return new Persistence({
    silenceMs,
    coldMs,
    signal,
    onRetry: (error) => progress.say(`${error.message}: trying again`),
  });
}

/** Where a step of a reconcile or an import stands in a backend's keys. */

import { ApiError } from '../../core/contracts/errors.ts';
import { type Backend, BackendError, type BackendPage } from '../../platform/backends/backend.ts';
import { StepPatience } from './patience.ts';

/** Of keys that begin in several ways, one after the other, as they sort: `after` says which of them is next. */
export async function pageUnder(
  backend: Backend,
  { prefixes, after, max }: { prefixes: readonly string[]; after: string | undefined; max: number },
  patience: StepPatience,
): Promise<BackendPage> {
  const at = prefixes.findIndex((prefix) => after === undefined || after.startsWith(prefix) || after < prefix);
  if (at < 0) return { objects: [], next: undefined };
  const page = await backend.list(prefixes[at] as string, { after, max: Math.max(1, max) }, patience.signal);
  patience.moved();
  // No key is as short as what it begins with.
  return { objects: page.objects, next: page.next ?? prefixes[at + 1] };
}

/** `place`: a backend, and what of it. */
export function cursorOf(place: string, after: string | undefined): string {
  return `${place}:${after ?? ''}`;
}

export function placeIn(cursor: string): { readonly place: string; readonly after: string | undefined } {
  const place = cursor.slice(0, cursor.indexOf(':'));
  return { place, after: cursor.slice(place.length + 1) || undefined };
}

/** A pattern that is one repository: no other keys need be listed. */
export function plainName(pattern: string | undefined): string | undefined {
  return pattern?.includes('*') === false ? pattern : undefined;
}

/** Of a step: longer than any answer of a backend that is there takes, however patient its rule is: a person waits. */
const silentMsMax = 30_000;

export type Answering = { readonly name: string; readonly signal: AbortSignal; readonly silentMs?: number | undefined };

/**
 * What `act` gives; a backend that fails is told as a client hears it, and so is one of which nothing has answered for
 * `silentMs` (default: `silentMsMax`).
 */
export async function answered<T>(
  { name, signal, silentMs = silentMsMax }: Answering,
  act: (patience: StepPatience) => Promise<T>,
): Promise<T> {
  using patience = new StepPatience(silentMs, signal, () => {
    const text = `nothing of it answered for ${silentMs / 1000} s: see whether it, and the network to it, is well`;
    return new BackendError('stalled', text);
  });
  try {
    return await act(patience);
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    throw new ApiError('UNAVAILABLE', `backend ${name} cannot be read: ${error.message}`);
  }
}

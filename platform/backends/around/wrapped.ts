/**
 * In which order a backend is wrapped, from the outside in: whoever calls it waits patiently; each attempt has its turn and
 * its share of the rate, is counted, and what it brings is watched. So a pause between attempts keeps no place, the
 * time that a request waits for its turn is no stall, and what is counted is what the backend was asked.
 */

import type { Prng } from '../../../core/prng.ts';
import type { Backend } from '../backend.ts';
import { Counted, type CountedOptions } from './counted.ts';
import { Limited, type LimitedOptions } from './limited.ts';
import { Patient } from './patient.ts';
import { Watched, type WatchedOptions } from './watched.ts';

export type WrappedOptions = WatchedOptions & CountedOptions & LimitedOptions & { readonly prng: Prng };

export function wrapped(backend: Backend, options: WrappedOptions): Backend {
  return new Patient(new Limited(new Counted(new Watched(backend, options), options), options), options);
}

/** What this room writes, and nobody else (records/ours.ts). */

import type { Holdings } from '../records/bits.ts';
import type { Ours } from '../records/ours.ts';
import type { Blob, Flight, Learning, OutLink, Reader, Source } from '../records/records.ts';
import type { State } from '../records/state.ts';

export type OurDownlink = Ours<State['down']>;
export type OurPullingBlob = Omit<Ours<Blob['pulling']>, 'holdings'> & { holdings: Holdings };
export type OurPullingLink = OutLink & Ours<Pick<OutLink, 'sources'>>;
export type OurFeeder = Ours<OutLink['feeder']>;
export type OurSource = Ours<Source>;
export type OurFlight = Ours<Flight>;
export type OurReader = Ours<Reader>;
export type OurLearning = Ours<Learning>;
export type OurAbroad = Ours<Blob['pulling']['abroad']>;

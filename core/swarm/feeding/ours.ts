/** What this room writes, and nobody else (records/ours.ts). */

import type { Ours } from '../records/ours.ts';
import type { Allowance } from '../records/parts.ts';
import type { Blob, InLink, Sink } from '../records/records.ts';
import type { State } from '../records/state.ts';

export type OurUplink = Ours<State['up']>;
export type OurFeedingBlob = Ours<Blob['feeding']>;
export type OurFeedingLink = InLink & Ours<Pick<InLink, 'sinks'>>;
export type OurPuller = Ours<InLink['puller']>;
export type OurSink = Ours<Sink>;
export type OurAllowance = Ours<Allowance>;

/** What the face itself writes: the time, the outputs, and which blobs there are (records/ours.ts). */

import type { Ours } from './records/ours.ts';
import type { State } from './records/state.ts';

export type OurState = Ours<State>;

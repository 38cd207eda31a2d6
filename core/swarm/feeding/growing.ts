/** A blob that grows, as we feed it: who may hear of it, and what they hear of how much of its list is known. */

import { knowsGrowing } from '../records/questions.ts';
import type { Sink } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { OurSink } from './ours.ts';

/** Whether the answer to Open can be given: while the blob grows only to who understands it. */
export function mayAnswer({ blob: { stage }, link }: Sink): boolean {
  return stage === 'ready' || (stage === 'growing' && knowsGrowing(link));
}

/** The puller hears how much of a list that grows is known here: before anything else that it would not understand. */
export function sayKnown(state: State, sink: Sink): void {
  const { known } = sink.blob;
  if (sink.state !== 'open' || sink.toldKnown >= known) return;
  (sink as OurSink).toldKnown = known;
  state.send(sink.link, { kind: 'grown', swarm: sink.swarm, known });
}

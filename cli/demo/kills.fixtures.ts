/** The parts of a demo that its test kills, and when: chaos' short form (test/real/chaos/kill.test.ts) tries the others. */
export const KILLS: readonly string[] = [
  'origin@0.6',
  'tracker@0.1',
  'index@0',
  'agent-1@0.6',
  'proxy@push',
  'origin@push',
  'index@push',
];

/**
 * What breaks a rule all the same, and why it may. The list may only shrink: `needless` finds entries that nothing
 * needs any more, and a test fails until they go.
 */

/** An exception to a rule of sizes.ts, or to `casts`: a file or a folder that is not yet, or cannot be, what it should be. */
export type Overdue = {
  readonly rule: 'lengths' | 'folders' | 'circles' | 'casts';
  readonly path: string;
  readonly why: string;
};

const entry = 'BlobEntry is a class, and what a pull, a peer and a reader need of it is no port yet';

const inputs = 'each machine has inputs of its own, which a loop for all of them cannot name';
const timers = 'Node takes any timer of its own, and says so of none';

export const OVERDUE: readonly Overdue[] = [
  { rule: 'casts', path: 'agent/testing/memory.ts', why: entry },
  { rule: 'casts', path: 'loadgen/live/store.ts', why: entry },
  { rule: 'casts', path: 'loadgen/fuzz/virtual/timers.ts', why: timers },
  { rule: 'casts', path: 'platform/drive/driver.ts', why: inputs },
];

const excuses = ({ rule, path }: Overdue, of: string, finding: string): boolean =>
  rule === of && finding.startsWith(`${path}:`);

/** The findings of a rule that no exception excuses. */
export function unexcused(rule: string, findings: readonly string[]): string[] {
  return findings.filter((finding) => !OVERDUE.some((entry) => excuses(entry, rule, finding)));
}

/** Entries of OVERDUE that excuse none of these findings, by rule. */
export function needless(findings: Readonly<Record<string, readonly string[]>>): string[] {
  return OVERDUE.filter(
    (entry) => !(findings[entry.rule] ?? []).some((finding) => excuses(entry, entry.rule, finding)),
  ).map(
    ({ rule, path }) => `the exception of ${path} from '${rule}' is not needed: remove it from test/tidy/exceptions.ts`,
  );
}

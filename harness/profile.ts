/** Reads what `--cpu-prof` left: where the time of each thread went, the function itself, not what it called. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

type ProfileNode = {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
};
type Profile = {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
};

export type ProfileLine = { readonly percent: number; readonly where: string };
export type ThreadProfile = { readonly file: string; readonly busyS: number; readonly top: readonly ProfileLine[] };

/** Waiting, and what is no work of ours. */
const idle = new Set(['(idle)', '(root)']);

/** One entry per thread, the busiest first; percent is of the thread's busy time. */
export function readProfiles(dir: string, lines = 10): ThreadProfile[] {
  // No agent was profiled where none of the measures asked starts one for it.
  const files = (existsSync(dir) ? readdirSync(dir) : []).filter((name) => name.endsWith('.cpuprofile'));
  return files.map((file) => threadProfile(join(dir, file), lines)).sort((a, b) => b.busyS - a.busyS);
}

function threadProfile(file: string, lines: number): ThreadProfile {
  const profile = JSON.parse(readFileSync(file, 'utf8')) as Profile;
  const names = new Map(profile.nodes.map((node) => [node.id, nameOf(node)]));
  const us = new Map<string, number>();
  for (const [i, id] of profile.samples.entries()) {
    const name = names.get(id) ?? '?';
    us.set(name, (us.get(name) ?? 0) + (profile.timeDeltas[i] ?? 0));
  }
  for (const name of idle) us.delete(name);
  const busyUs = [...us.values()].reduce((sum, value) => sum + value, 0);
  const top = [...us.entries()].sort((a, b) => b[1] - a[1]).slice(0, lines);
  return {
    file: basename(file),
    busyS: busyUs / 1e6,
    top: top.map(([where, value]) => ({ percent: Math.round((1000 * value) / busyUs) / 10, where })),
  };
}

function nameOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  return `${name} ${url.replace(/^.*\/work\/[^/]+\/|^file:\/\//, '')}:${lineNumber + 1}`;
}

export function profileText(profiles: readonly ThreadProfile[]): string {
  return profiles
    .map(({ file, busyS, top }) =>
      [
        `${file}: ${busyS.toFixed(1)} s busy`,
        ...top.map(({ percent, where }) => `  ${percent.toFixed(1).padStart(5)} %  ${where}`),
      ].join('\n'),
    )
    .join('\n');
}

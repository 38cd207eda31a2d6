/**
 * Draws the lives of the swarm's records into docs/swarm.md, from the tables that the code runs by
 * (core/swarm/records/lives.ts). A picture stands behind its mark, `<!-- life: NAME -->`. Run it after a change of a
 * table; test/swarm-lives.test.ts fails until then.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  allowanceLife,
  blobLife,
  edgeLife,
  flightLife,
  type Life,
  linkLife,
  sinkLife,
  sourceLife,
} from '../core/swarm/records/lives.ts';

export const lives: Readonly<Record<string, Life<string>>> = {
  blob: blobLife,
  link: linkLife,
  edge: edgeLife,
  source: sourceLife,
  sink: sinkLife,
  flight: flightLife,
  allowance: allowanceLife,
};

const MARK = /<!-- life: (\w+) -->\n(?:```mermaid\n[^`]*```\n)?/g;

/** `text` with each picture as its table says now. */
export function drawn(text: string): string {
  return text.replace(MARK, (_, name: string) => {
    const life = lives[name];
    if (life === undefined) throw new Error(`docs/swarm.md: there is no life of a ${name}`);
    return `<!-- life: ${name} -->\n\`\`\`mermaid\n${picture(life)}\`\`\`\n`;
  });
}

function picture(life: Life<string>): string {
  const lines = Object.entries(life).flatMap(([from, followers]) =>
    Object.entries(followers).map(([to, why]) => `  ${from} --> ${to}: ${why}\n`),
  );
  const [first = ''] = Object.keys(life);
  return `stateDiagram-v2\n  [*] --> ${first}\n${lines.join('')}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = fileURLToPath(new URL('../docs/swarm.md', import.meta.url));
  writeFileSync(path, drawn(readFileSync(path, 'utf8')));
}

/**
 * `node director.ts --label L --dir D --report FILE [--seed N] [--seconds N] [--agents N] [--kinds a,b]`: a run, inside of
 * the namespace of the clients. Who starts it sweeps up (hosts/sweep.ts).
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { summary } from './judge/report.ts';
import { KINDS, type Kind } from './plan/faults.ts';
import { whole } from './plan/topology.ts';
import { Run } from './run.ts';

const { values } = parseArgs({
  options: {
    label: { type: 'string' },
    dir: { type: 'string' },
    report: { type: 'string' },
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '300' },
    agents: { type: 'string', default: `${whole.agent}` },
    kinds: { type: 'string', default: KINDS.join(',') },
  },
});
const { label, dir, report: file } = values;
if (label === undefined || dir === undefined || file === undefined)
  throw new Error('--label, --dir and --report are needed');
const kinds = values.kinds.split(',').filter((kind): kind is Kind => (KINDS as readonly string[]).includes(kind));
const plan = { seed: Number(values.seed), seconds: Number(values.seconds), agents: Number(values.agents), kinds };
console.log(`chaos: seed ${plan.seed}, ${plan.seconds} s of faults, ${plan.agents} agents`);
const report = await new Run({ label, dir }, plan).toEnd();
console.log(summary(report));
await writeFile(file, JSON.stringify(report));
process.exit(0);

/** Starts a run, and sees to it that nothing of it stays on the machine, whatever becomes of it or of us. */
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../../../platform/lifecycle/child.ts';
import { inNamespace } from '../hosts/namespaces.ts';
import { run } from '../processes.ts';
import { sweep } from './hosts/sweep.ts';
import { clientsOf, labelOf, wireClients } from './hosts/wiring.ts';
import type { Report } from './judge/report.ts';

const here = import.meta.dirname;

/** `keep`: a directory that the nodes' logs are copied to in the end. */
export async function runChaos(args: readonly string[], keep?: string): Promise<Report> {
  const label = labelOf(process.pid);
  const dir = await mkdtemp(join(tmpdir(), 'shoal-chaos-'));
  const janitor = [process.execPath, join(here, 'hosts/janitor.ts'), `${process.pid}`, label, dir];
  // In a session of its own, its output nowhere: it may outlive us.
  await run('sh', ['-c', 'setsid "$@" </dev/null >/dev/null 2>&1 &', 'sh', ...janitor]);
  try {
    await wireClients(label);
    const report = join(dir, 'report.json');
    const director = [process.execPath, join(here, 'director.ts'), '--label', label, '--dir', dir, '--report', report];
    const command = inNamespace(clientsOf(label), [...director, ...args]);
    await using child = Child.start({ name: 'chaos', command, output: 'ours' });
    const { code, how } = await child.ended;
    if (code !== 0) throw new Error(`the run broke off: ${how}`);
    return JSON.parse(await readFile(report, 'utf8')) as Report;
  } finally {
    if (keep !== undefined) await run('cp', ['-r', join(dir, 'logs'), keep]).catch(() => undefined);
    await sweep(label, dir);
  }
}

/**
 * Outside processes of a real test: run one to its end, or keep one running for as long as a test goes on.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import { Child } from '../../platform/lifecycle/child.ts';
import { isFree, laneOfTests, portMax } from '../../platform/testing/ports.ts';
import { need } from './programs.ts';

const exec = promisify(execFile);
const tailChars = 4_000;

/** Runs a program to its end; its standard output. Throws with what it printed where it fails. */
export async function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  try {
    const { stdout } = await exec(isAbsolute(program) ? program : need(program), args, {
      env: { ...process.env, ...env },
      maxBuffer: 64 << 20,
    });
    return stdout.trim();
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as { stdout?: string; stderr?: string; message: string };
    throw new Error(`${message.split('\n')[0]}\n${stdout.slice(-tailChars)}\n${stderr.slice(-tailChars)}`);
  }
}

/** Starts `command`, with its output in the file `log`, for as long as the test goes on. */
export function keepRunning(command: readonly string[], log: string, env?: NodeJS.ProcessEnv): Child {
  const name = basename(command[0] ?? '');
  return Child.start({ name, command, output: { file: log }, ...(env && { env: { ...process.env, ...env } }) });
}

/** A temporary directory that goes with the stack. */
export async function temporary(stack: AsyncDisposableStack, prefix: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `shoal-${prefix}-`));
  stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

/** Is the path answered with a 2xx? */
export async function answers(url: string): Promise<boolean> {
  const response = await fetch(url);
  await response.arrayBuffer();
  return response.ok;
}

/** `shoal up` has its agents this far above the base, each in ten ports; its parts take thirty, where there are more indexes. */
const agentsAbove = 1_000;
const slot = 10;
/** Bases of files that run at once lie in other slots, and so do their agents: four of them, with five agents each. */
const slotsPerLane = 5;
const lanes = 4;
const period = 2 * lanes * slotsPerLane;
const basePortMax = 31_000;

/** A base port for `shoal up`, below the ephemeral ports, whose ports were free a moment ago. */
export async function freeBasePort(agents: number): Promise<number> {
  const lane = laneOfTests() % lanes;
  const first = Math.floor(Math.random() * ((basePortMax - portMax) / (slot * period)));
  for (let at = portMax + slot * (period * first + lane * slotsPerLane); at < basePortMax; at += slot * period) {
    const ports = [0, 1, 2, 3, 4, 5, 14, 24].map((n) => at + n);
    for (let agent = 0; agent < agents; agent++)
      ports.push(...[0, 1, 2].map((n) => at + agentsAbove + slot * agent + n));
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return at;
  }
  throw new Error(`no free ports between ${portMax} and ${basePortMax + agentsAbove}`);
}

/**
 * A real server of a test: one process on a directory and a port of its own, for as long as a test goes on. A file here
 * for each, which exports how it is started: `startX(dir)`, `dir` being empty and the caller's.
 *
 * Rule: what it returns is ready, and `rule` names a place there that exists and is empty.
 */
import { readFileSync } from 'node:fs';
import type { Child } from '../../../../platform/lifecycle/child.ts';
import { answers, keepRunning, temporary } from '../../processes.ts';

const readyMsDefault = 60_000;

export interface StorageServer extends AsyncDisposable {
  /** Of `backends:`, without its repositories. */
  readonly rule: { readonly name: string } & Readonly<Record<string, unknown>>;
  /** What the environment of a role has to say beside it. */
  readonly env: Readonly<Record<string, string>>;
  /** Puts a blob there by hand: of a kind that Shoal only reads. */
  fill?(bytes: Buffer): Promise<void>;
}

/** Started on a temporary directory; both go with the stack. */
export async function started<S extends StorageServer>(
  stack: AsyncDisposableStack,
  start: (dir: string) => Promise<S>,
): Promise<S> {
  return stack.use(await start(await temporary(stack, 'storage')));
}

export type Program = {
  readonly command: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** File of its output. */
  readonly log: string;
  /** It runs once this says so. */
  readonly ready: () => Promise<boolean>;
  /** Default: a minute. */
  readonly readyMsMax?: number;
};

/** A program that can be killed and started again: its address and directory stay. */
export class Restartable implements AsyncDisposable {
  readonly #program: Program;
  #child: Child | undefined;

  constructor(program: Program) {
    this.#program = program;
  }

  async start(): Promise<void> {
    const { command, log, env, ready, readyMsMax = readyMsDefault } = this.#program;
    const child = keepRunning(command, log, env);
    this.#child = child;
    try {
      await child.until(ready, readyMsMax);
    } catch (error) {
      // Whoever starts it has nothing yet that it could end.
      await this.kill();
      throw error;
    }
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** It and all of its children. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    const { pid } = this;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
    for (const one of [pid, ...children]) if (one > 0) sent(one, name);
  }

  /** As kill -9 does. */
  async kill(): Promise<void> {
    await this.#child?.end(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** A child may have ended since it was listed. */
function sent(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whether a GET is answered with a 2xx. */
export function answering(url: string): () => Promise<boolean> {
  return () => answers(url);
}

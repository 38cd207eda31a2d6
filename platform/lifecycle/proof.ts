/** `--check --online`: what was tried beyond the configuration itself, as it is printed. */

/**
 * What a probe that went well has shown. written: an object was written, read and removed; kept: written and read, and it
 * stays; read: nothing was written; answered: whoever asks so is answered, no more.
 */
export type Proven = 'written' | 'kept' | 'read' | 'answered';

export type OnlineProof = {
  /** `backend main`. */
  readonly what: string;
  readonly kind: string;
  readonly ms: number;
  /** undefined: nothing, there is a problem. */
  readonly proven: Proven | undefined;
  /** What it cannot do, though it works. */
  readonly lacks: readonly string[];
  readonly problem: { readonly cause: string; readonly message: string } | undefined;
};

const WORDS: Readonly<Record<Proven, string>> = {
  written: 'it was written to, read and tidied up',
  kept: 'it was written to and read; nothing is removed there',
  read: 'it was read from; nothing was written',
  answered: 'it answers, and takes the credentials; whether it takes pushes shows with the first one',
};
/** From the least to the most. */
const inOrder: readonly Proven[] = ['answered', 'read', 'kept', 'written'];

/** What is proven of all of them. */
export function leastOf(proven: readonly Proven[]): Proven {
  return inOrder.find((one) => proven.includes(one)) ?? 'written';
}

export function proofLines(proofs: readonly OnlineProof[]): string[] {
  if (proofs.length === 0) return ['nothing was tried: it names no backend'];
  return proofs.map(({ what, kind, ms, proven = 'answered', lacks, problem }) => {
    const head = `${what} (${kind}): `;
    if (problem !== undefined) return `${head}${problem.cause}: ${problem.message}`;
    return `${head}right: ${WORDS[proven]}, ${ms} ms${lacks.map((lack) => `; it lacks ${lack}`).join('')}`;
  });
}

/** One object; the exit code says the same as `ok`. */
export function proofJson(file: string, role: string, proofs: readonly OnlineProof[]): string {
  const tried = proofs.map(({ problem, ...proof }) => ({ ...proof, ok: problem === undefined, ...problem }));
  return JSON.stringify({ file, role, ok: tried.every(({ ok }) => ok), tried });
}

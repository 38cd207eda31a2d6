/** `--check --online`: what was tried beyond the configuration itself, as it is printed. */

export type OnlineProof = {
  /** `backend main`. */
  readonly what: string;
  readonly kind: string;
  readonly ms: number;
  /** What it cannot do, though it works. */
  readonly lacks: readonly string[];
  readonly problem: { readonly cause: string; readonly message: string } | undefined;
};

export function proofLines(proofs: readonly OnlineProof[]): string[] {
  if (proofs.length === 0) return ['nothing of it is reached over a network that could be tried: it names no backend'];
  return proofs.map(({ what, kind, ms, lacks, problem }) => {
    const head = `${what} (${kind}): `;
    if (problem !== undefined) return `${head}${problem.cause}: ${problem.message}`;
    return `${head}right: it was written to, read and tidied up, ${ms} ms${lacks.map((lack) => `; it lacks ${lack}`).join('')}`;
  });
}

/** One object; the exit code says the same as `ok`. */
export function proofJson(file: string, role: string, proofs: readonly OnlineProof[]): string {
  const tried = proofs.map(({ problem, ...proof }) => ({ ...proof, ok: problem === undefined, ...problem }));
  return JSON.stringify({ file, role, ok: tried.every(({ ok }) => ok), tried });
}

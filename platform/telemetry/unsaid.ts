/**
 * Secrets that this process has, and texts without them. A server that refuses says back what it was sent, a library puts its
 * options into an error: whatever is logged, answered or printed may have one in it, by ways that nobody has thought of.
 *
 * Rule 1: a secret is told here by whoever reads it: configurations (config/load.ts), files (backends/secret.ts), headers that
 *         are made of one.
 * Rule 2: one that is shorter than `charactersMin` is not looked for: it would be found in words that have nothing to do with it.
 */

const charactersMin = 8;
/** A configuration has a few; files that are renewed daily for years are some thousand. */
const textsMax = 10_000;
const shown = '(secret)';

/** As they may stand in a text, the longest first. */
const unsaidTexts: string[] = [];

/** What pino calls for each line (`hooks`), and doors for what they answer: nothing, until there is a secret. */
export const lineHooks: { streamWrite?: (line: string) => string } = {};

export function neverSay(...secrets: readonly string[]): void {
  for (const secret of secrets) {
    if (secret.length < charactersMin) continue;
    const quoted = JSON.stringify(secret).slice(1, -1);
    const forms = [secret, quoted, encodeURIComponent(secret), Buffer.from(secret).toString('base64')];
    for (const form of forms) if (!unsaidTexts.includes(form) && unsaidTexts.length < textsMax) unsaidTexts.push(form);
  }
  unsaidTexts.sort((a, b) => b.length - a.length);
  if (unsaidTexts.length > 0) lineHooks.streamWrite = unsaid;
}

export function unsaid(text: string): string {
  let without = text;
  for (const secret of unsaidTexts) if (without.includes(secret)) without = without.replaceAll(secret, shown);
  return without;
}

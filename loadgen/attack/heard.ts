/** What came of an attack, by counts; and what may never come of one. */

export type HeardCounts = {
  /** Connections that were made. */
  opened: number;
  /** Of these, those that the other side ended. */
  ended: number;
  /** Connections that were not made. */
  refused: number;
  /** Answers, by status; `other` are no HTTP. */
  readonly answers: Record<string, number>;
  /** What may not be: a few of them, each in words. */
  readonly wrong: string[];
};

const wrongMax = 20;
/** Of an answer, in what is said of it. */
const shownCharacters = 300;

export const heardNothing = (): HeardCounts => ({ opened: 0, ended: 0, refused: 0, answers: {}, wrong: [] });

export function addUp(all: readonly HeardCounts[]): HeardCounts {
  const sum = heardNothing();
  for (const one of all) {
    sum.opened += one.opened;
    sum.ended += one.ended;
    sum.refused += one.refused;
    for (const [status, times] of Object.entries(one.answers)) sum.answers[status] = (sum.answers[status] ?? 0) + times;
    sum.wrong.push(...one.wrong.slice(0, wrongMax - sum.wrong.length));
  }
  return sum;
}

export function isWrong(heard: HeardCounts, what: string): void {
  if (heard.wrong.length < wrongMax) heard.wrong.push(what);
}

/** Counts the answers in `text`, and looks for what no answer may have in it. Returns how many there are. */
export function readAnswers(heard: HeardCounts, text: string, asked: string): number {
  const heads = [...text.matchAll(/(?:^|\n)HTTP\/1\.[01] (\d{3}) /g)];
  for (const [, status = ''] of heads) heard.answers[status] = (heard.answers[status] ?? 0) + 1;
  if (heads.length === 0 && text !== '') heard.answers['other'] = (heard.answers['other'] ?? 0) + 1;
  for (const [name, pattern] of FORBIDDEN)
    if (pattern.test(text))
      isWrong(heard, `${name}: ${JSON.stringify(asked.slice(0, shownCharacters))}: ${text.slice(0, shownCharacters)}`);
  return heads.length;
}

/** What attacks ask for that would show that one worked. */
export const markHeader = 'x-shoal-injected';

const FORBIDDEN: readonly (readonly [string, RegExp])[] = [
  ['a header of ours in the answer', new RegExp(`^${markHeader}:`, 'im')],
  ['a file of the host', /^root:[^:]*:0:0:/m],
  ['an error that nobody foresaw', /"code":"UNKNOWN"/],
  ['a stack of ours', /\n\s+at .*\.ts:\d+/],
];

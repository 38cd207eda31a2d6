/** `npm run bench -- micro`: the ring, the codec, the piece choice, the hash, the kernel's copies, by benchmark.js. */

import { tmpfs } from '../../harness/memory.ts';
import { median, rounded } from '../../harness/numbers.ts';
import type { Figures } from '../../harness/report.ts';
import { chooseCase } from './choose.ts';
import { decodeCase, encodeCase } from './codec.ts';
import { copyCases } from './copy.ts';
import { hashCases } from './hash.ts';
import { messageEcho, ringAlone, ringEcho } from './ring.ts';
import { type MicroCase, type MicroResult, micro, microAsync } from './runner.ts';

const fullS = 3;
const smallS = 0.3;
/** Of what takes turns. */
const rounds = 5;

export async function benchMicro(small: boolean): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const seconds = small ? smallS : fullS;
  const figures: Record<string, number> = {};
  let answers = 0;
  const counted = ({ perS, answer }: MicroResult): number => {
    answers = (Math.imul(answers, 31) + answer) | 0;
    return perS;
  };
  const perS = async (one: MicroCase): Promise<number> => counted(await micro(one, seconds));
  const ns = (unitsPerS: number): number => rounded(1e9 / unitsPerS);
  figures['ringPutTakeNs'] = ns(await perS(ringAlone()));
  figures['ringJobNs'] = ns(counted(await microAsync(await ringEcho(stack), seconds)));
  figures['postMessageJobNs'] = ns(counted(await microAsync(await messageEcho(stack), seconds)));
  figures['encodeMessageNs'] = ns(await perS(encodeCase()));
  figures['decodeMessageNs'] = ns(await perS(decodeCase()));
  figures['choosePieceNs'] = ns(await perS(chooseCase(false)));
  figures['choosePieceReaderNs'] = ns(await perS(chooseCase(true)));
  for (const one of hashCases()) figures[`${one.name}GBps`] = rounded((await perS(one)) / 1e9);
  const { read, write } = copyCases(tmpfs, stack);
  const turn = async (one: MicroCase): Promise<number> => counted(await micro(one, seconds / rounds));
  for (const pair of [read, write]) Object.assign(figures, await inTurns(pair, turn));
  // Used, so that no compiler may leave it out; it is no figure, since the number of calls differs.
  if (!Number.isInteger(answers)) throw new Error('micro: an answer is missing');
  return figures;
}

/** GB/s of each, a median over rounds in which they take turns. */
async function inTurns(
  cases: readonly MicroCase[],
  bytesPerS: (one: MicroCase) => Promise<number>,
): Promise<Record<string, number>> {
  const samples = cases.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, one] of cases.entries()) samples[i]?.push(await bytesPerS(one));
  }
  return Object.fromEntries(cases.map(({ name }, i) => [`${name}GBps`, rounded(median(samples[i] ?? []) / 1e9)]));
}

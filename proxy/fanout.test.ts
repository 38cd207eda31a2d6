import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { fanOut, type OriginLane } from './fanout.ts';

const options = { stallMs: 200, signal: new AbortController().signal };

async function* body(...chunks: string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

/** Takes everything, and remembers it. */
function taker(skip = 0, got: string[] = []): OriginLane & { got: string[] } {
  return {
    skip,
    got,
    async send(chunks) {
      for await (const chunk of chunks) got.push(Buffer.from(chunk).toString());
      return skip + got.join('').length;
    },
  };
}

describe('one body to several', () => {
  test('all get all of it, in order; one that holds the beginning skips it', async () => {
    const lanes = [taker(), taker(), taker(5), taker(9)];
    const { bytes, results } = await fanOut(body('abc', 'def', 'g'), lanes, options);
    expect(bytes).toBe(7);
    expect(lanes.map(({ got }) => got.join(''))).toEqual(['abcdefg', 'abcdefg', 'fg', '']);
    expect(results.map((result) => result.kind === 'sent' && result.offset)).toEqual([7, 7, 7, 9]);
  });

  test('nothing at all', async () => {
    expect(await fanOut(body(), [taker()], options)).toEqual({ bytes: 0, results: [{ kind: 'sent', offset: 0 }] });
  });

  test('one that fails, answers early or stalls is left behind', async () => {
    const failing: OriginLane = {
      skip: 0,
      async send(chunks) {
        for await (const chunk of chunks) if (chunk.length > 0) throw new Error('broken');
        return 0;
      },
    };
    const early: OriginLane = { skip: 0, send: async () => 0 };
    const stalling: OriginLane = {
      skip: 0,
      send: (_chunks, signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    };
    const good = taker();
    const { bytes, results } = await fanOut(body('a', 'b', 'c', 'd'), [failing, early, stalling, good], options);
    expect([bytes, good.got.join('')]).toEqual([4, 'abcd']);
    expect(results.map((result) => result.kind)).toEqual(['failed', 'sent', 'failed', 'sent']);
    expect(results[2]).toMatchObject({ error: { code: 'UNAVAILABLE', message: 'the origin took nothing for 0.2 s' } });
  });

  test('a client that is slow is not an origin that stalls', async () => {
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a');
      await sleep(500);
      yield Buffer.from('b');
    }
    const lane = taker();
    expect((await fanOut(slow(), [lane], options)).results).toEqual([{ kind: 'sent', offset: 2 }]);
  });

  test('when all have failed the body is read no further', async () => {
    let given = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; ; given++) yield Buffer.from('x');
    }
    const failing: OriginLane = {
      skip: 0,
      async send(chunks) {
        let taken = 0;
        for await (const chunk of chunks) {
          taken += chunk.length;
          if (taken >= 3) throw new Error('broken');
        }
        return 0;
      },
    };
    const { results } = await fanOut(endless(), [failing, failing], options);
    expect(results.map((result) => result.kind)).toEqual(['failed', 'failed']);
    expect(given).toBeLessThan(10);
  });

  test('when the body fails every origin sees a failure, never an end', async () => {
    async function* cut(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a');
      throw new Error('client gone');
    }
    let ended = 0;
    const watching: OriginLane = {
      skip: 0,
      async send(chunks) {
        for await (const _ of chunks);
        ended += 1;
        return 1;
      },
    };
    await expect(fanOut(cut(), [watching, watching], options)).rejects.toThrow('client gone');
    expect(ended).toBe(0);
  });

  test('the slowest sets the pace: the others are never more than two chunks ahead', async () => {
    let fast = 0;
    let slow = 0;
    let most = 0;
    const lane = (each: () => void | Promise<void>): OriginLane => ({
      skip: 0,
      async send(chunks) {
        let bytes = 0;
        for await (const chunk of chunks) {
          bytes += chunk.length;
          await each();
        }
        return bytes;
      },
    });
    const quick = lane(() => {
      fast += 1;
      most = Math.max(most, fast - slow);
    });
    const lazy = lane(async () => {
      await sleep(1);
      slow += 1;
    });
    await fanOut(body(...Array.from({ length: 50 }, () => 'x')), [quick, lazy], options);
    expect([fast, slow]).toEqual([50, 50]);
    expect(most).toBeLessThanOrEqual(3);
  });
});

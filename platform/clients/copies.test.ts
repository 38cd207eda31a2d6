import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { CallContext } from './context.ts';
import { manyAnswers } from './copies.ts';

const ctx = CallContext.begin({ requestId: 'test' });
const hedgeMs = 100;

type Far = { readonly url: string; doubts: number; readonly pulse: { readonly silent: boolean; doubt(): void } };

function far(url: string, state: { silent?: boolean } = {}): Far {
  const client: Far = { url, doubts: 0, pulse: { silent: state.silent === true, doubt: () => void client.doubts++ } };
  return client;
}

/** Ends when it is told to. */
function hang({ signal }: CallContext): Promise<never> {
  return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
}

async function copy(
  order: readonly Far[],
  act: (client: Far, ctx: CallContext) => Promise<unknown>,
  want: { copies: number; required: number },
) {
  const asked: string[] = [];
  const { done, failures } = await manyAnswers(
    order,
    (client, call) => {
      asked.push(client.url);
      return act(client, call);
    },
    { ctx, hedgeMs, ...want },
  );
  return { done: done.map(({ url }) => url), failures: failures.length, asked };
}

describe('copies', () => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((url) => far(url)) as [Far, Far, Far, Far];

  test('as many as are wanted, the first in order; one that fails is replaced', async () => {
    expect(await copy([a, b, c], async () => undefined, { copies: 2, required: 2 })).toEqual({
      done: ['a', 'b'],
      failures: 0,
      asked: ['a', 'b'],
    });
    const failing = async (client: Far): Promise<void> => {
      if (client.url !== 'c') throw new Error('no');
    };
    expect(await copy([a, b, c, d], failing, { copies: 2, required: 1 })).toEqual({
      done: ['c'],
      failures: 3,
      asked: ['a', 'b', 'c', 'd'],
    });
  });

  test('one that hangs gets the next beside it, and is told to stop', async () => {
    let stopped = false;
    const act = async (client: Far, call: CallContext): Promise<void> => {
      if (client.url !== 'a') return;
      await hang(call).finally(() => {
        stopped = true;
      });
    };
    expect(await copy([a, b, c], act, { copies: 2, required: 2 })).toMatchObject({ done: ['b', 'c'], failures: 0 });
    await sleep(1);
    expect([stopped, a.doubts]).toEqual([true, 1]);
  });

  test('one that is slow still counts where nobody else is left', async () => {
    const act = async (client: Far): Promise<void> => {
      if (client.url === 'a') await sleep(3 * hedgeMs);
    };
    expect((await copy([a, b], act, { copies: 2, required: 2 })).done.toSorted()).toEqual(['a', 'b']);
  });

  test('one that is known to hang is asked only where there are too few without it', async () => {
    const silent = far('s', { silent: true });
    expect(await copy([a, silent], async () => undefined, { copies: 2, required: 1 })).toMatchObject({
      done: ['a'],
      asked: ['a'],
    });
    expect((await copy([a, silent], async () => undefined, { copies: 2, required: 2 })).done).toEqual(['a', 's']);
  });

  test('nobody', async () => {
    expect(await copy([], async () => undefined, { copies: 2, required: 1 })).toEqual({
      done: [],
      failures: 0,
      asked: [],
    });
  });
});

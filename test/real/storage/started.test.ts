/** What a test starts and never becomes ready is ended by whoever started it: nobody else knows of it. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporary } from '../processes.ts';
import { Restartable } from './servers/server.ts';

test('a server that does not become ready in time leaves no process', async () => {
  await using stack = new AsyncDisposableStack();
  const server = new Restartable({
    command: ['/bin/sleep', '1000'],
    log: join(await temporary(stack, 'started'), 'log'),
    ready: async () => false,
    readyMsMax: 300,
  });
  await expect(server.start()).rejects.toThrow('sleep');
  expect(server.pid).toBeGreaterThan(0);
  expect(() => process.kill(server.pid, 0)).toThrow('ESRCH');
});

/** `shoal replicate` at an index that sends nothing to others. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Command } from 'commander';
import { afterEach, expect, test } from 'vitest';
import { addReplicateCommands } from './replicate.ts';

const stack: (() => void)[] = [];
afterEach(() => {
  for (const close of stack.splice(0)) close();
});

test.each([['status'], ['diff', 'west']])('%s: it is said that no remote is configured, and where', async (...args) => {
  const server = createServer((_, response) => {
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ errors: [{ code: 'NOT_FOUND', message: 'there is no such path' }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.push(() => server.close().closeAllConnections());
  const index = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const program = new Command().exitOverride();
  const act = (run: (signal: AbortSignal) => Promise<void>): Promise<void> => run(new AbortController().signal);
  addReplicateCommands(program, { finishing: act, stoppable: act, url: () => (text) => text, say: () => undefined });
  const asked = program.parseAsync(['replicate', ...args, '--index', index], { from: 'user' });
  await expect(asked).rejects.toThrow(`${index} sends nothing to others`);
});

/** The log in a process of its own, since standard output is what it is about. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';

const script = `
  import { createLog } from ${JSON.stringify(new URL('./log.ts', import.meta.url).href)};
  const log = createLog({ role: 'test', level: 'info' });
  log.info('first');
  process.on('message', () => {
    for (let i = 0; i < 100; i++) log.info({ i }, 'nobody reads this');
    process.disconnect();
  });
`;

function start(): ReturnType<typeof spawn> {
  return spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
}

test('a line is one object of JSON with role, level and time', async () => {
  const child = start();
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  const entry = JSON.parse(String(line).split('\n')[0]!) as Record<string, unknown>;
  expect(entry).toMatchObject({ role: 'test', level: 'info', msg: 'first' });
  expect(Number.isNaN(Date.parse(String(entry['time'])))).toBe(false);
  child.send('go on');
  child.stdout!.resume();
  await once(child, 'exit');
});

test('a process whose standard output has no reader any more goes on, and exits', async () => {
  const child = start();
  await once(child.stdout!, 'data');
  child.stdout!.destroy();
  child.send('go on');
  const [code] = (await once(child, 'exit')) as [number];
  expect(code).toBe(0);
});

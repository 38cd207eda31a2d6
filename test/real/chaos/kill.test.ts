/** kill -9 of any one process, during the push and during the pull: the demo still ends with every byte right. */
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { KILLS } from '../../../cli/demo/kills.fixtures.ts';
import { shoal } from '../cluster.ts';
import { temporary } from '../processes.ts';
import { byLength, ofShort } from '../short.ts';

const PARTS = ['proxy', 'origin', 'tracker', 'index', 'agent-1', 'agent-2'];
const all = PARTS.flatMap((part) => ['push', '0.1', '0.6'].map((when) => `${part}@${when}`));
const size = byLength({ short: '48MB', usual: '128MB', long: '128MB' });

test.each(ofShort(all, (kill) => !KILLS.includes(kill)))('kill -9: %s', async (kill) => {
  await using stack = new AsyncDisposableStack();
  const dir = await temporary(stack, 'kill');
  const [node = '', ...args] = shoal;
  const demo = ['demo', '--agents', '3', '--size', size, '--kill', kill];
  const env = { ...process.env, TMPDIR: dir };
  const { stdout, stderr } = await promisify(execFile)(node, [...args, ...demo], { env, maxBuffer: 64 << 20 });
  expect(stdout + stderr).toMatch(new RegExp(`${kill.split('@')[0]}\\s+died`));
  expect(stdout).toContain('every byte verified: 3 agents');
  expect(await readdir(dir)).toEqual([]);
});

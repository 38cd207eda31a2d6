/** kill -9 of any one process, during the push and during the pull: the demo still ends with every byte right. */
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { shoal } from '../cluster.ts';
import { temporary } from '../processes.ts';

const PARTS = ['proxy', 'origin', 'tracker', 'index', 'agent-1', 'agent-2'];

describe.each(PARTS)('kill -9 of %s', (part) => {
  test.each(['push', '0.1', '0.6'])('at %s', async (when) => {
    await using stack = new AsyncDisposableStack();
    const dir = await temporary(stack, 'kill');
    const [node = '', ...args] = shoal;
    const demo = ['demo', '--agents', '3', '--size', '128MB', '--kill', `${part}@${when}`];
    const env = { ...process.env, TMPDIR: dir };
    const { stdout, stderr } = await promisify(execFile)(node, [...args, ...demo], { env, maxBuffer: 64 << 20 });
    expect(stdout + stderr).toMatch(new RegExp(`${part}\\s+died`));
    expect(stdout).toContain('every byte verified: 3 agents');
    expect(await readdir(dir)).toEqual([]);
  });
});

/** `shoal up --indexes 3 --store`: three indexes over one PostgreSQL, or one bucket; any of them may die, and a user sees all. */

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { indexPorts, shoal, startAt } from '../cluster.ts';
import { freeBasePort, temporary } from '../processes.ts';
import { ofShort } from '../short.ts';
import { startPostgres } from './servers/postgres.ts';
import { started } from './servers/server.ts';
import { startVersitygw } from './servers/versitygw.ts';

const limitMs = 180_000;

type Stack = AsyncDisposableStack;
const engines: Readonly<Record<string, (stack: Stack, dir: string) => Promise<string>>> = {
  async 'PostgreSQL by its URL'(stack) {
    const { host, port, database, username, password } = (await started(stack, (dir) => startPostgres(dir))).settings();
    return `postgres://${username}:${password}@${host}:${port}/${database}`;
  },
  async 'a bucket by a file'(stack, dir) {
    const { rule } = await started(stack, startVersitygw);
    const file = join(dir, 'store.yaml');
    writeFileSync(file, stringify({ store: { kind: 'bucket', backend: rule.name }, backends: [rule] }));
    return file;
  },
};

describe.each(ofShort(Object.keys(engines), (name) => name.startsWith('PostgreSQL')))('three indexes on %s', (name) => {
  test('what is pushed is there through each of them, whichever is killed; shoal status shows all', {
    timeout: limitMs,
  }, async () => {
    await using stack = new AsyncDisposableStack();
    const dir = await temporary(stack, 'up-indexes');
    const store = await (engines[name] as (typeof engines)[string])(stack, dir);
    const base = await freeBasePort(1);
    const { up, proxy, agents } = await startAt(stack, { dir, base, agents: 1, indexes: 3, store });
    const said = (): string => readFileSync(join(dir, 'up.log'), 'utf8');
    const run = async (...args: string[]): Promise<string> => {
      const [node = '', executable = ''] = shoal;
      return (await promisify(execFile)(node, [executable, ...args])).stdout;
    };
    const at = ['--proxy', `http://${proxy}`];
    const bytes = randomBytes(300_000);
    writeFileSync(join(dir, 'model.bin'), bytes);
    for (const [n, part] of ['index', 'index-2', 'index-3'].entries()) {
      await run('put', join(dir, 'model.bin'), '--repo', 'models/m', '--tag', `v${n}`, ...at);
      const pid = Number(new RegExp(`^${part} +ready.*\\(pid (\\d+)\\)`, 'm').exec(said())?.[1]);
      process.kill(pid, 'SIGKILL');
      const out = join(dir, `${n}.bin`);
      await run('get', `models/m:v${n}`, '-o', out, '--agent', `http://${agents[0]}`);
      expect(readFileSync(out).equals(bytes)).toBe(true);
      await expect.poll(said, { timeout: 60_000 }).toMatch(new RegExp(`^${part} +ready again`, 'm'));
    }
    const all = indexPorts(base, 3).map((port) => `http://127.0.0.1:${port}`);
    for (const url of all) expect(said()).toContain(url);
    const asked = `http://${proxy}`;
    await expect
      .poll(() => run('status', asked).catch(({ stdout }: { stdout: string }) => stdout), { timeout: 60_000 })
      .toSatisfy((text: string) => all.every((url) => new RegExp(`^index +${url} .*\\bup\\b`, 'm').test(text)));
    expect((await up.end()).code).toBe(0);
  });
});

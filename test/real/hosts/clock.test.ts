/** Certificates on a host whose clock is an hour off (libfaketime): what still works, and what is said of what does not. */

import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { MEMBERS } from '../../../core/contracts/members.ts';
import { TestAuthority } from '../../../platform/certs/testing.fixtures.ts';
import { HttpClient } from '../../../platform/clients/http.ts';
import { Child, isReady, nodeCommand } from '../../../platform/lifecycle/child.ts';
import { entryUrl } from '../../../platform/lifecycle/entry.ts';
import { operatorHttp } from '../../../platform/secure/operator.ts';
import { temporary } from '../processes.ts';
import { need } from '../programs.ts';

const hourMs = 3_600_000;
const stack = new AsyncDisposableStack();
let dir: string;
let authority: TestAuthority;
beforeAll(async () => {
  dir = await temporary(stack, 'clock');
  authority = stack.use(await TestAuthority.make());
});
afterAll(() => stack.disposeAsync());

type Validity = { readonly fromMs: number; readonly untilMs: number };
const issued = { fromMs: Date.now() - 60_000, untilMs: Date.now() + 30 * 60_000 };
/** As `shoal certs` has it: an hour earlier, since clocks differ. */
const early = { fromMs: Date.now() - hourMs - 60_000, untilMs: Date.now() + 30 * 24 * hourMs };

/** A tracker's command by a clock that is off. */
async function commandOf(name: string, off: string, validity: Validity, ...flags: string[]): Promise<string[]> {
  const file = join(dir, `${name}.yaml`);
  const tls = await authority.issue('tracker', validity);
  const listen = { host: '127.0.0.1', port: 0 };
  await writeFile(file, stringify({ role: 'tracker', name, cluster: 'test', listen, tls }));
  const node = nodeCommand(entryUrl('../../../tracker/main.ts', import.meta.url), ['--config', file, ...flags]);
  return [need('faketime'), '-f', off, 'env', 'FAKETIME_DONT_FAKE_MONOTONIC=1', ...node];
}

/** What a tracker by that clock answers an operator by the right one. */
async function asked(off: string, validity: Validity): Promise<string> {
  const command = await commandOf(`t${off}`, off, early);
  const { child, said } = await Child.ready(
    { name: 'tracker', command, output: { file: join(dir, `t${off}.log`) }, channel: true },
    (starting) => starting.message(isReady, 60_000),
  );
  try {
    const transport = operatorHttp(dirname((await authority.issue('admin', validity)).certificate));
    await using client = new HttpClient({ base: `http://127.0.0.1:${said.ports['api']}`, transport });
    return await client.json('GET', MEMBERS.status.path({}), { tries: 1 }).then(
      () => 'answered',
      ({ message }: Error) => message,
    );
  } finally {
    await child.end();
  }
}

test.each([
  ['behind', '-1h', early, 'answered'],
  ['behind', '-1h', issued, 'it is not valid yet'],
  ['ahead', '+1h', early, 'answered'],
  ['ahead', '+1h', issued, 'it has expired'],
] as const)('a tracker an hour %s (%s) is asked', { timeout: 120_000 }, async (_, off, validity, answer) => {
  expect(await asked(off, validity)).toContain(answer);
});

test.each([
  ['behind', '-1h', "is this host's clock right?"],
  ['ahead', '+1h', 'tls.crt: has expired on'],
])('a start by a clock an hour %s names the certificate', { timeout: 60_000 }, async (_, off, said) => {
  const [program = '', ...args] = await commandOf(`start${off}`, off, issued, '--check');
  const ended = await promisify(execFile)(program, args).catch((error: unknown) => error);
  expect(ended).toMatchObject({ stderr: expect.stringContaining(said) });
});

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { MembersStatus } from '../../core/contracts/members.ts';
import { membersStatus } from './status.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const [one, two] = ['1'.repeat(32), '2'.repeat(32)];
const origins = (members: MembersStatus['lists'][number]['members']): MembersStatus => {
  return { lists: [{ role: 'origins', members, doubles: [] }] };
};
const row = (id: string, o: object = {}) => ({ url: `http://${id.slice(0, 3)}:1`, id, weight: 1, up: true, ...o });

async function telling(status: MembersStatus): Promise<string> {
  const server = createServer((_, response) => response.end(JSON.stringify(status)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => void server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function said(...urls: string[]): Promise<{ lines: string[]; why: string | undefined }> {
  const lines: string[] = [];
  const { signal } = new AbortController();
  const run = membersStatus({ urls, json: false, signal }, (line) => lines.push(...line.split('\n')));
  return {
    why: await run.then(
      () => undefined,
      (error: Error) => error.message,
    ),
    lines,
  };
}

test('members are shown with their ids, weights and health; where all is well that is all', async () => {
  const all = origins([row(one, { latencyMs: 1.25 }), row(two, { weight: 2, draining: true })]);
  const url = await telling(all);
  expect(await said(url, await telling(all))).toMatchObject({ why: undefined });
  const { lines } = await said(url);
  expect(lines.slice(0, 4).map((line) => line.split(/ {2,}/).map((cell) => cell.trim()))).toEqual([
    [`${url} calls`],
    ['role', 'member', 'id', 'weight', 'state', 'check'],
    ['origins', 'http://111:1', '111111111111', '1', 'up', '1.3 ms'],
    ['origins', 'http://222:1', '222222222222', '2', 'up, draining'],
  ]);
});

test('nothing is wrong with an agent that has had to do with nobody yet, nor with who left when it was drained', async () => {
  const known = await telling(origins([row(one), { ...row(two, { up: false, draining: true }), url: undefined }]));
  const agent = await telling(origins([{ url: 'http://111:1', up: true }]));
  expect(await said(known, agent)).toMatchObject({ why: undefined });
  const asked = await telling(origins([{ url: 'http://111:1', up: true, latencyMs: 2 }]));
  expect((await said(asked)).lines).toContain(`${asked}: origins: it is not known who http://111:1 is`);
  const gone = await telling(origins([{ ...row(two, { up: false }), url: undefined }]));
  expect((await said(gone)).lines).toContain(`${gone}: origins: ${two} is away`);
});

test('who does not answer, whose ids are two, and what processes do not agree about is told, and fails', async () => {
  const url = await telling(origins([row(one, { up: false }), row(two)]));
  const other = await telling({
    lists: [
      { role: 'origins', members: [row(one, { weight: 3 })], doubles: [{ id: one, urls: ['http://a', 'http://b'] }] },
    ],
  });
  const { lines, why } = await said(url, other, 'http://127.0.0.1:1');
  expect(lines.filter((line) => / {2,}|calls$|^$/.test(line) === false)).toEqual([
    `${url}: origins: http://111:1 does not answer`,
    `${other}: origins: http://a and http://b both say to be ${one}`,
    'http://127.0.0.1:1 does not tell: http://127.0.0.1:1/v1/members: connection refused: is it running?',
    `origin ${one} weighs 1 or 3, as who is asked`,
    `origin ${two} is not known to ${other}`,
  ]);
  expect(why).toBe('5 to look at');
});

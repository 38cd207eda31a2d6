/** What `config check --online` says of a backend is what its probe has shown, and no more. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { proofLines } from '../lifecycle/proof.ts';
import { backendsShape } from './config.ts';
import { proveAll } from './prove.ts';
import { FakeRegistry } from './registry/fake.fixtures.ts';
import { FakeS3 } from './s3/fake.fixtures.ts';
import { httpServer } from './web/web.fixtures.ts';

const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' };
const s3 = (endpoint: string) => ({ bucket: 'bucket', endpoint, credentials });

/** Of one rule: what it is said to be. */
async function said(rule: object): Promise<string> {
  const [line = ''] = proofLines(await proveAll(backendsShape().parse([{ name: 'main', ...rule }]), {}));
  return line.replace(/^backend main \(\w+\): /, '').replace(/, \d+ ms.*/, '');
}

const written = 'right: it was written to, read and tidied up';
const kept = 'right: it was written to and read; nothing is removed there';
const read = 'right: it was read from; nothing was written';
const answered = 'right: it answers, and takes the credentials; whether it takes pushes shows with the first one';

test('a bucket, as its rule has it: written to, written to and nothing removed, only read', async () => {
  await using fake = await FakeS3.start();
  const rule = { s3: s3(fake.endpoint) };
  expect(await said({ ...rule, readOnly: true })).toBe(read);
  expect(fake.asked.filter((asked) => !asked.startsWith('GET'))).toEqual([]);
  expect(await said(rule)).toBe(written);
  expect(fake.objects.size).toBe(0);
  expect(await said({ ...rule, shared: true })).toBe(kept);
  expect(fake.objects.size).toBe(1);
  expect(await said({ ...rule, readOnly: true, shared: true })).toBe(read);
});

test('a web server is read from, a registry is only asked whether it answers', async () => {
  await using stack = new AsyncDisposableStack();
  const web = await httpServer(stack, (_, response) => void response.writeHead(404).end());
  const http = { download: `${web}/%s` };
  expect(await said({ http })).toBe(read);
  const fake = stack.use(await FakeRegistry.start());
  const registry = { address: fake.address, plainHttp: true };
  expect(await said({ registry })).toBe(answered);
  expect(await said({ registry, readOnly: true })).toBe(read);
  expect(fake.uploads.size).toBe(0);
});

test('of a rule with tags elsewhere, and of one that shadows another, what is shown of both', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'shoal-prove-'));
  try {
    const file = { directory };
    expect(await said({ file })).toBe(written);
    expect(await said({ file, tags: { file } })).toBe(written);
    expect(await said({ file, tags: { memory: {} } })).toBe(answered);
    expect(await said({ shadow: { first: { file }, second: { memory: {} } } })).toBe(answered);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('what answers every request with a page of HTML is no S3, even where it is only read', async () => {
  await using stack = new AsyncDisposableStack();
  const page = '<html><head><title>Sign in</title></head><body><p>Welcome</p></body></html>';
  for (const body of [page, '<html></html>', '']) {
    const endpoint = await httpServer(stack, (_, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end(body);
    });
    const line = await said({ s3: s3(endpoint), readOnly: true });
    expect(line).toBe(
      `unavailable: main: cannot list s3://bucket: ${endpoint} answers 200 with what is no list of S3: what answers there may be no S3: look at \`endpoint\`, and at proxies between`,
    );
  }
});

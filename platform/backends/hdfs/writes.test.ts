/** Writes to HDFS that are cut, lost, damaged or raced: what is there afterwards. And reads that are. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { FakeHdfs } from './fake.fixtures.ts';

const bytes = Buffer.from('some bytes of an object');
const text = async (chunks: AsyncIterable<Uint8Array>) => String(await bytesOf(chunks));
let fake: FakeHdfs;
beforeEach(async () => {
  fake = await FakeHdfs.start();
});
afterEach(() => fake[Symbol.asyncDispose]());

test('an object is written elsewhere, compared by length and checksum, and takes its name by one rename', async () => {
  await using backend = fake.backend();
  await backend.write('a/b', sourceOf(bytes), never);
  fake.asked.length = 0;
  await backend.write('a/b', sourceOf(Buffer.from('others')), never);
  const steps = fake.asked.map((one) => one.replace(/shoal-[0-9a-f]{24}/, 'ID'));
  expect(steps.filter((one) => !/MKDIRS|LISTSTATUS/.test(one))).toEqual([
    'PUT CREATE /root/_uploads/ID',
    'data PUT CREATE /root/_uploads/ID',
    'GET GETFILESTATUS /root/_uploads/ID',
    'GET GETFILECHECKSUM /root/_uploads/ID',
    'PUT RENAME /root/_uploads/ID',
  ]);
});

test.each(['GETFILESTATUS', 'GETFILECHECKSUM'])(
  'what HDFS has is not what was sent, as %s says: damaged, and what was there stays',
  async (op) => {
    await using backend = fake.backend();
    await backend.put('key', Buffer.from('old'), never);
    fake.fault = (ask) => {
      const inode = fake.inodes.get(ask.path);
      if (ask.op !== op || !ask.path.startsWith('/root/_uploads/') || inode?.bytes === undefined) return undefined;
      const damaged = Buffer.from(op === 'GETFILESTATUS' ? inode.bytes.subarray(1) : inode.bytes);
      damaged[0] = 0;
      fake.inodes.set(ask.path, { ...inode, bytes: damaged });
      return undefined;
    };
    const wanted = {
      why: 'damaged',
      message: expect.stringMatching(/^main: key was written, and HDFS has (22 bytes of 23|another checksum)/),
    };
    await expect(backend.write('key', sourceOf(bytes), never)).rejects.toMatchObject(wanted);
    await expect(backend.put('key', bytes, never)).rejects.toMatchObject(wanted);
    expect(await text(backend.read('key', { start: 0, end: 3 }, never))).toBe('old');
    await expect.poll(() => fake.names('/root/_uploads')).toEqual([]);
  },
);

test('a rename whose answer is lost was done: the write counts, with a condition too', async () => {
  await using backend = fake.backend();
  fake.fault = ({ op }) => (op === 'RENAME' ? 'lost' : undefined);
  const first = await backend.put('key', Buffer.from('1'), never, { version: null });
  const second = await backend.put('key', Buffer.from('2'), never, { version: first.version });
  expect(await backend.stat('key', never)).toEqual(second);
  await backend.write('key', sourceOf(bytes), never);
  expect(await text(backend.read('key', { start: 0, end: bytes.length }, never))).toBe(String(bytes));
});

test('a server that knows no rename with options replaces nothing, and says so', async () => {
  await using backend = fake.backend();
  await backend.put('key', Buffer.from('old'), never);
  fake.fault = ({ op }) => (op === 'RENAME' ? { status: 200, body: { boolean: false } } : undefined);
  await expect(backend.put('key', bytes, never)).rejects.toMatchObject({
    why: 'unsupported',
    message: expect.stringContaining('HttpFS'),
  });
  await expect(backend.put('key', bytes, never, { version: null })).rejects.toMatchObject({ why: 'changed' });
  expect(await text(backend.read('key', { start: 0, end: 3 }, never))).toBe('old');
});

test('two that replace one version: the second finds it gone, even behind its own look', async () => {
  await using backend = fake.backend();
  const { version } = await backend.put('key', Buffer.from('old'), never);
  let raced = 0;
  fake.fault = ({ op, query }) => {
    if (op !== 'RENAME' || !query.get('destination')?.startsWith('/.reserved/') || raced++ > 0) return undefined;
    fake.inodes.set('/root/key', { id: 999, mtime: 5, bytes: Buffer.from('the other') });
    return undefined;
  };
  await expect(backend.put('key', bytes, never, { version })).rejects.toMatchObject({ why: 'changed' });
  expect(raced).toBe(1);
  expect(await backend.stat('key', never)).toMatchObject({ version: '999-5-9' });
});

test.each(['/root/.snapshot', '/.snapshot'])('%s: there may be snapshots, so there are no conditions', async (path) => {
  fake.makeDirectory(path === '/.snapshot' ? '/.snapshot/daily' : path);
  await using backend = fake.backend();
  await backend.probe(never);
  expect(backend.can.conditions).toBe(false);
  await expect(backend.put('key', bytes, never, { version: null })).rejects.toMatchObject({ why: 'unsupported' });
});

test('an older Hadoop: written without checksums, and lists are unsupported', async () => {
  const refuse = {
    status: 400,
    body: { RemoteException: { exception: 'IllegalArgumentException', message: 'no operation' } },
  };
  fake.fault = ({ op }) =>
    ['GETSERVERDEFAULTS', 'LISTSTATUS_BATCH', 'GETFILECHECKSUM'].includes(op) ? refuse : undefined;
  await using backend = fake.backend();
  await backend.probe(never);
  expect(backend.can).toMatchObject({ list: false, conditions: true });
  await backend.write('key', sourceOf(bytes), never);
  expect(await text(backend.read('key', { start: 0, end: bytes.length }, never))).toBe(String(bytes));
});

test('a DataNode that hangs, in a write and in a read: the call ends in time, and the next one is served', async () => {
  await using backend = fake.backend({}, { stallMs: 400 });
  await backend.put('key', bytes, never);
  fake.fault = ({ data, op }) => (data && op === 'OPEN' ? 'hang' : undefined);
  await expect(bytesOf(backend.read('key', { start: 0, end: 9 }, never))).rejects.toMatchObject({ why: 'stalled' });
  fake.fault = ({ data }) => (data ? 'hang' : undefined);
  await expect(backend.put('other', bytes, never)).rejects.toMatchObject({
    why: 'stalled',
    message: expect.stringMatching(/^main: cannot write other: PUT http.*\/data/),
  });
  fake.fault = () => undefined;
  expect(await backend.stat('other', never)).toBeUndefined();
  await backend.put('other', bytes, never);
});

test('an answer that is cut gives what came, and an error', async () => {
  await using backend = fake.backend();
  await backend.put('key', bytes, never);
  fake.fault = ({ data }) => (data ? { cut: 5 } : undefined);
  const came: Buffer[] = [];
  const reading = async (): Promise<void> => {
    for await (const chunk of backend.read('key', { start: 2, end: bytes.length }, never))
      came.push(Buffer.from(chunk));
  };
  await expect(reading()).rejects.toMatchObject({ why: 'unavailable' });
  expect(String(Buffer.concat(came))).toBe(String(bytes.subarray(2, 7)));
});

test('a DataNode in clear where the NameNode is asked by TLS, or at no address, is not gone to', async () => {
  await using backend = fake.backend();
  await backend.put('key', bytes, never);
  for (const location of ['ftp://127.0.0.1/x', 'http://', '']) {
    fake.fault = ({ op, data }) => (op === 'OPEN' && !data ? { status: 307, headers: { location } } : undefined);
    await expect(bytesOf(backend.read('key', { start: 0, end: 9 }, never))).rejects.toMatchObject({ why: 'refused' });
  }
});

test('what a killed writer left is removed a day later, and nothing of others', async () => {
  await using backend = fake.backend();
  const old = Date.now() - 25 * 3_600_000;
  const put = (name: string, mtime: number) => fake.inodes.set(`/root/_uploads/${name}`, { id: mtime, mtime, bytes });
  fake.makeDirectory('/root/_uploads');
  put('shoal-old', old);
  put('shoal-young', Date.now() - 3_600_000);
  put('4b2e-of-kraken', old);
  await backend.put('key', bytes, never);
  await expect.poll(() => fake.names('/root/_uploads')).toEqual(['4b2e-of-kraken', 'shoal-young']);
});

test('where others write as well, a probe writes nothing and nothing that was left is removed', async () => {
  await using backend = fake.backend({}, { shared: true });
  fake.makeDirectory('/root/_uploads');
  fake.inodes.set('/root/_uploads/shoal-old', { id: 7, mtime: 5, bytes });
  await backend.probe(never);
  await backend.put('key', bytes, never);
  await backend.put('key', Buffer.from('2'), never);
  expect(fake.asked.filter((one) => one.includes('DELETE'))).toEqual([]);
  expect(fake.asked.filter((one) => /CREATE/.test(one))).toHaveLength(4);
  expect(fake.names('/root/_uploads')).toEqual(['shoal-old']);
});

test('the root of HDFS may be the directory', async () => {
  await using backend = fake.backend({ directory: '/' });
  await backend.probe(never);
  await backend.put('a/b', bytes, never);
  expect(fake.inodes.get('/a/b')?.bytes).toEqual(bytes);
  expect((await backend.list('', { max: 9 }, never)).objects).toEqual([{ key: 'a/b', size: bytes.length }]);
});

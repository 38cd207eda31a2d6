/** HDFS that fails: what it says, several NameNodes, tokens, answers that are lost, and what a killed writer leaves. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { brokenConformance } from '../conformance/broken.fixtures.ts';
import { bytesOf, never } from '../objects.fixtures.ts';
import { FakeHdfs, failed } from './fake.fixtures.ts';

const bytes = Buffer.from('some bytes of an object');
let fake: FakeHdfs;
beforeEach(async () => {
  fake = await FakeHdfs.start();
});
afterEach(() => fake[Symbol.asyncDispose]());

const html = {
  status: 404,
  body: Buffer.from('<html><title>Login</title></html>'),
  headers: { 'content-type': 'text/html' },
};

describe('what it says', () => {
  test.each([
    [
      failed(403, 'AccessControlException', 'Permission denied: user=bob, access=WRITE'),
      'denied',
      /Permission denied: user=bob.*right/,
    ],
    [
      failed(403, 'SafeModeException', 'Cannot create file. Name node is in safe mode.'),
      'unavailable',
      /safemode leave/,
    ],
    [
      failed(403, 'RetriableException', 'org.apache.hadoop.hdfs.server.namenode.SafeModeException: x'),
      'unavailable',
      /safemode/,
    ],
    [failed(403, 'DSQuotaExceededException', 'The DiskSpace quota of /root is exceeded'), 'full', /raise the quota/],
    [failed(403, 'NSQuotaExceededException', 'The NameSpace quota of /root is exceeded'), 'full', /raise the quota/],
    [failed(403, 'InvalidToken', "token (token for bob) can't be found in cache"), 'credentials', /delegationToken/],
    [
      failed(
        403,
        'IOException',
        'File x could only be written to 0 of the 1 minReplication nodes. There are 3 datanode(s) running',
      ),
      'full',
      /room/,
    ],
    [
      failed(
        403,
        'IOException',
        'File x could only be written to 0 of the 1 minReplication nodes. There are 0 datanode(s) running',
      ),
      'unavailable',
      /no DataNode is alive/,
    ],
    [
      failed(500, 'NullPointerException', 'x\n\tat org.apache.hadoop.Some'),
      'unavailable',
      /NullPointerException: x: it is asked again/,
    ],
    [{ status: 401, body: Buffer.from('<html><title>Authentication required</title>') }, 'credentials', /Kerberos/],
    [{ status: 503, headers: { 'retry-after': '7' } }, 'throttled', /HTTP 503/],
    [html, 'unavailable', /a page of HTML \("Login"\): what answers there is no WebHDFS/],
    [{ ...html, status: 200 }, 'unavailable', /answers no JSON, but a page of HTML \("Login"\)/],
    [
      { status: 200, body: { FileStatus: { length: -1 } } },
      'unavailable',
      /JSON that is none of WebHDFS at FileStatus/,
    ],
    [{ status: 302, headers: { location: 'http://elsewhere/' } }, 'refused', /HTTP 302/],
  ])('%j', async (answer, why, words) => {
    await using backend = fake.backend();
    await backend.put('key', bytes, never);
    fake.fault = ({ op, data }) => (op === 'CREATE' && !data ? answer : undefined);
    if (answer.status !== 200) {
      const wanted = { why, message: expect.stringMatching(/^main: cannot write key: PUT http:.*\/root\/_uploads\//) };
      await expect(backend.put('key', bytes, never)).rejects.toMatchObject(wanted);
      await expect(backend.put('key', bytes, never)).rejects.toThrow(words);
    }
    fake.fault = ({ op }) => (op === 'GETFILESTATUS' ? answer : undefined);
    await expect(backend.stat('key', never)).rejects.toMatchObject({ why, message: expect.stringMatching(words) });
    fake.fault = () => undefined;
    expect(await bytesOf(backend.read('key', { start: 0, end: bytes.length }, never))).toEqual(bytes);
    expect(fake.names('/root/_uploads')).toEqual([]);
  });

  test('a 404 that is not of HDFS says nothing about an object, and a directory that is gone neither', async () => {
    await using backend = fake.backend();
    fake.fault = () => html;
    await expect(backend.stat('key', never)).rejects.toMatchObject({ why: 'unavailable' });
    fake.fault = () => undefined;
    expect(await backend.stat('key', never)).toBeUndefined();
    fake.inodes.delete('/root');
    const gone = {
      why: 'missing',
      scope: 'bucket',
      message: expect.stringContaining('there is no directory /root: make it'),
    };
    await expect(backend.stat('key', never)).rejects.toMatchObject(gone);
    await expect(backend.list('', { max: 1 }, never)).rejects.toMatchObject(gone);
    await expect(backend.probe(never)).rejects.toMatchObject(gone);
    await expect(backend.put('key', bytes, never)).rejects.toMatchObject(gone);
  });

  test('a key cannot be below another one', async () => {
    await using backend = fake.backend();
    await backend.put('a', bytes, never);
    await backend.put('b/c', bytes, never);
    for (const key of ['a/b', 'b'])
      await expect(backend.put(key, bytes, never)).rejects.toMatchObject({
        why: 'refused',
        message: expect.stringContaining('a and a/b'),
      });
    expect(await backend.stat('b', never)).toBeUndefined();
  });
});

describe('several NameNodes', () => {
  test('a dead one and one that is standby are passed over, and the one that answered is asked first from then on', async () => {
    await using standby = await FakeHdfs.start();
    standby.fault = () => failed(403, 'StandbyException', 'Operation category READ is not supported in state standby');
    await using backend = fake.backend({ nameNodes: ['127.0.0.1:1', standby.address, fake.address] });
    await backend.put('key', bytes, never);
    expect(standby.asked).toHaveLength(1);
    expect(await backend.stat('key', never)).toMatchObject({ size: bytes.length });
    expect(standby.asked).toHaveLength(1);
    // It fails over.
    const active = fake.fault;
    fake.fault = standby.fault;
    standby.fault = active;
    standby.inodes.set('/root/key', { id: 9, mtime: 1, bytes });
    expect(await backend.stat('key', never)).toMatchObject({ version: '9-1-23' });
    standby.fault = fake.fault;
    await expect(backend.stat('key', never)).rejects.toMatchObject({
      why: 'unavailable',
      message: expect.stringMatching(
        /^main: cannot look up key: no NameNode is active: http:.* \(StandbyException\), http:.* \(StandbyException\), http:\/\/127\.0\.0\.1:1 \(ECONNREFUSED\): it is asked again/,
      ),
    });
  });

  test('one that hangs is left in time, and the next one asked', async () => {
    await using hanging = await FakeHdfs.start();
    hanging.fault = () => 'hang';
    await using backend = fake.backend({ nameNodes: [hanging.address, fake.address] }, { stallMs: 900 });
    const begunMs = performance.now();
    expect(await backend.stat('key', never)).toBeUndefined();
    expect(performance.now() - begunMs).toBeLessThan(900);
    fake.fault = () => 'hang';
    await expect(backend.stat('key', never)).rejects.toMatchObject({ why: 'stalled' });
  });

  test('what the active one says counts: nobody else is asked', async () => {
    await using other = await FakeHdfs.start();
    await using backend = fake.backend({ nameNodes: [fake.address, other.address] });
    fake.fault = () => failed(403, 'AccessControlException', 'Permission denied');
    await expect(backend.stat('key', never)).rejects.toMatchObject({ why: 'denied' });
    expect(other.asked).toEqual([]);
  });
});

describe('a delegation token', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-token-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  test('goes with each request to a NameNode; one in a file is read again once it is refused', async () => {
    const file = join(dir, 'token');
    await writeFile(file, 'old\n');
    await using backend = fake.backend({ user: undefined, delegationToken: { file } });
    let right = 'old';
    const seen = new Set<string | null>();
    fake.fault = ({ query }) => {
      seen.add(query.get('delegation'));
      return query.get('delegation') === right && !query.has('user.name')
        ? undefined
        : failed(403, 'InvalidToken', 'token (HDFS_DELEGATION_TOKEN token 1 for shoal) is expired');
    };
    await backend.put('key', bytes, never);
    right = 'new';
    await expect(backend.stat('key', never)).rejects.toMatchObject({ why: 'credentials' });
    expect([...seen]).toEqual(['old']);
    await new Promise((resolve) => setTimeout(resolve, 5_100));
    await writeFile(file, 'new\n');
    expect(await Promise.all([1, 2, 3].map(() => backend.stat('key', never)))).toMatchObject(
      [1, 2, 3].map(() => ({ size: 23 })),
    );
    expect([...seen]).toEqual(['old', 'new']);
  }, 15_000);

  test('a file that is not there, or holds none, is named, and nothing of a token is in a message', async () => {
    const file = join(dir, 'token');
    await using backend = fake.backend({ user: undefined, delegationToken: { file } });
    const wanted = { why: 'credentials', message: expect.stringContaining(`main: ${file} cannot be read`) };
    await expect(backend.stat('key', never)).rejects.toMatchObject(wanted);
    await writeFile(file, '{"Token":{}}');
    await expect(backend.stat('key', never)).rejects.toThrow(/holds no delegation token: put the urlString/);
    await writeFile(file, 'SECRET');
    fake.fault = () => failed(403, 'AccessControlException', 'no');
    await expect(backend.stat('key', never)).rejects.toThrow(/^((?!SECRET).)*$/s);
  });
});

describe('who is not let in', () => {
  const opened = async (settings: object, said: string) => {
    fake.fault = ({ query }) =>
      query.get('user.name') === 'nobody'
        ? failed(403, 'AccessControlException', 'Permission denied: user=nobody, access=EXECUTE, inode="/root"')
        : query.get('delegation') === said
          ? failed(403, 'InvalidToken', "token (HDFS_DELEGATION_TOKEN) can't be found in cache")
          : undefined;
    return fake.backend(settings);
  };
  const secret = 'SECRETSECRET';
  const token = { user: undefined, delegationToken: { token: secret } };
  brokenConformance([
    { what: 'a user without rights', make: () => opened({ user: 'nobody' }, ''), why: 'denied' },
    { what: 'a token that is over', make: () => opened(token, secret), why: 'credentials', secret },
  ]);
});

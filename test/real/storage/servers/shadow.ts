/** A directory that shadows a bucket. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startDirectory } from './file.ts';
import type { StorageServer } from './server.ts';
import { startVersitygw } from './versitygw.ts';

export async function startShadow(dir: string): Promise<StorageServer> {
  const [bucketDir, fileDir] = [join(dir, 'bucket'), join(dir, 'file')];
  await Promise.all([mkdir(bucketDir), mkdir(fileDir)]);
  const [bucket, directory] = await Promise.all([startVersitygw(bucketDir), startDirectory(fileDir)]);
  const shadow = { first: { s3: bucket.rule['s3'] }, second: { file: directory.rule['file'] } };
  return {
    rule: { name: 'main', shadow },
    env: {},
    [Symbol.asyncDispose]: () => bucket[Symbol.asyncDispose](),
  };
}

/** A real server for each kind of backend; of some kinds several, since they differ. */
import { startAzurite } from './azurite.ts';
import { startDistribution } from './distribution.ts';
import { startFakeGcsServer } from './fake-gcs-server.ts';
import { startDirectory } from './file.ts';
import { startHdfs } from './hdfs.ts';
import { startMariadb } from './mariadb.ts';
import { startMinio } from './minio.ts';
import { startNginx } from './nginx.ts';
import { startPostgres } from './postgres.ts';
import type { StorageServer } from './server.ts';
import { startShadow } from './shadow.ts';
import { startTestfs } from './testfs.ts';
import { startVersitygw } from './versitygw.ts';

export const storageServers: Readonly<
  Record<string, { readonly kind: string; readonly start: (dir: string) => Promise<StorageServer> }>
> = {
  'a directory': { kind: 'file', start: startDirectory },
  hdfs: { kind: 'hdfs', start: startHdfs },
  testfs: { kind: 'testfs', start: startTestfs },
  versitygw: { kind: 's3', start: startVersitygw },
  minio: { kind: 's3', start: startMinio },
  nginx: { kind: 'http', start: startNginx },
  mariadb: { kind: 'sql', start: (dir) => startMariadb(dir) },
  postgres: { kind: 'sql', start: (dir) => startPostgres(dir) },
  'fake-gcs-server': { kind: 'gcs', start: startFakeGcsServer },
  azurite: { kind: 'azure', start: startAzurite },
  distribution: { kind: 'registry', start: startDistribution },
  'a directory and a bucket': { kind: 'shadow', start: startShadow },
};

/** What keeps nothing beyond its process has no server. */
export const withoutServer: readonly string[] = ['memory', 'noop'];

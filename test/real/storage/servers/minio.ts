/** MinIO: a server of S3 with its own format on disk. */
import { need } from '../../programs.ts';
import { keys, type S3Program, S3Server } from './s3.ts';

const program: S3Program = {
  command: ({ port, data }) => [
    ...[need('minio'), 'server', '--quiet', '--address', `127.0.0.1:${port}`],
    ...['--console-address', '127.0.0.1:0', data],
  ],
  env: { MINIO_ROOT_USER: keys.accessKeyId, MINIO_ROOT_PASSWORD: keys.secretAccessKey, MINIO_UPDATE: 'off' },
  ready: '/minio/health/ready',
};

export function startMinio(dir: string): Promise<S3Server> {
  return S3Server.begin(program, dir);
}

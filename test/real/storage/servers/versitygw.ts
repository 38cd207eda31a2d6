/** versitygw: a gateway of S3 on a directory. */
import { need } from '../../programs.ts';
import { keys, type S3Program, S3Server } from './s3.ts';

const program: S3Program = {
  command: ({ port, data }) => [
    ...[need('versitygw'), '--port', `127.0.0.1:${port}`, '--health', '/ready', 'posix', data],
  ],
  env: { ROOT_ACCESS_KEY: keys.accessKeyId, ROOT_SECRET_KEY: keys.secretAccessKey },
  ready: '/ready',
};

export function startVersitygw(dir: string): Promise<S3Server> {
  return S3Server.begin(program, dir);
}

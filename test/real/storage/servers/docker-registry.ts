/** A real Docker registry (distribution 2.8, Debian's), which keeps what is pushed to it in a bucket of another server here. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../../platform/testing/ports.ts';
import { need } from '../../programs.ts';
import { keys, type S3Server } from './s3.ts';
import { answering, Restartable } from './server.ts';

export type BucketRegistry = { readonly address: string; readonly program: Restartable };

/** `prefix`: in the server's first bucket. Its configuration and log are in `dir`. */
export async function startRegistryOn(
  stack: AsyncDisposableStack,
  server: S3Server,
  { dir, prefix }: { readonly dir: string; readonly prefix: string },
): Promise<BucketRegistry> {
  const address = `127.0.0.1:${await freePort()}`;
  const s3 = {
    bucket: server.rule.s3.bucket,
    region: 'us-east-1',
    regionendpoint: server.endpoint,
    accesskey: keys.accessKeyId,
    secretkey: keys.secretAccessKey,
    secure: false,
    rootdirectory: `/${prefix}`,
  };
  const file = join(dir, 'docker-registry.yml');
  // JSON is YAML.
  await writeFile(file, JSON.stringify({ version: 0.1, storage: { s3 }, http: { addr: address } }));
  const program = stack.use(
    new Restartable({
      command: [need('docker-registry'), 'serve', file],
      log: join(dir, 'docker-registry.log'),
      // Its SDK is too old for what this would have it do.
      env: { AWS_CA_BUNDLE: '' },
      ready: answering(`http://${address}/v2/`),
    }),
  );
  await program.start();
  return { address, program };
}

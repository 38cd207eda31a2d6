/** Amazon's way into a registry: a password that AWS's own client has from ECR (moto), shown to a registry of distribution. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { bytesOf, never, sourceOf } from '../../../platform/backends/objects.fixtures.ts';
import { registrySchema } from '../../../platform/backends/registry/config.ts';
import { registryKeys } from '../../../platform/backends/registry/layout.ts';
import { RegistryBackend } from '../../../platform/backends/registry/registry.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { temporary } from '../processes.ts';
import { type Moto, motoPassword, startMoto } from './moto.ts';
import { type DistributionServer, startDistribution } from './servers/distribution.ts';
import { started } from './servers/server.ts';

const account = '123456789012';
/** Of motoPassword(account), by bcrypt. */
const htpasswd = 'AWS:$2b$05$abcdefghijklmnopqrstuu/4ofrUS75HrKu6f.iuRo0I/XlrmpqlC\n';
const region = 'eu-central-1';
const bytes = Buffer.from('a blob that only who has the password writes');
const stack = new AsyncDisposableStack();

let moto: Moto;
let registry: DistributionServer;

beforeAll(async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'any');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'any');
  moto = stack.use(await startMoto(await temporary(stack, 'moto')));
  registry = await started(stack, (dir) => startDistribution(dir, { auth: 'basic', htpasswd }));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await stack.disposeAsync();
});

function open(ecr: object): RegistryBackend {
  const settings = registrySchema.parse({ ...registry.rule.registry, credentials: { ecr: { region, ...ecr } } });
  return new RegistryBackend(settings, { name: 'ecr', stallMs: 10_000, env: {}, clock: realClock });
}

test('with what ECR gives, of the account or by its number, it is written and read', async () => {
  const source = sourceOf(bytes);
  const key = registryKeys.blobKey(source.digest, 'library/app');
  for (const registryId of [undefined, account]) {
    await using backend = open({ endpoint: moto.endpoint, ...(registryId !== undefined && { registryId }) });
    await backend.probe(never);
    await backend.write(key, source, never);
    expect((await bytesOf(backend.read(key, { start: 0, end: bytes.length }, never))).equals(bytes)).toBe(true);
  }
  // It is that password that lets in, and nothing else does.
  const asked = async (login: string): Promise<number> => {
    const authorization = `Basic ${Buffer.from(login).toString('base64')}`;
    return (await fetch(`http://${registry.address}/v2/`, { headers: { authorization } })).status;
  };
  expect([await asked(`AWS:${motoPassword(account)}`), await asked('AWS:other')]).toEqual([200, 401]);
});

test('of another account it is refused as credentials, by its name; where ECR is away, that is said', async () => {
  await using other = open({ endpoint: moto.endpoint, registryId: '999999999999' });
  await expect(other.probe(never)).rejects.toMatchObject({
    why: 'credentials',
    message: expect.stringContaining('ecr'),
  });
  await using away = open({ endpoint: 'http://127.0.0.1:9' });
  await expect(away.probe(never)).rejects.toMatchObject({ message: expect.stringMatching(/^ecr: .*ECR/i) });
});

/**
 * A kind of backend is one file and one line: the toy beside this passes the conformance suite, and in a copy of this tree
 * to which it is added so, a cluster that loses all of its disks has everything from it again.
 */

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { backendConformance } from '../../../platform/backends/conformance.fixtures.ts';
import { madeImage, metricOf, pulled, pushImage, type Reached } from '../../images.fixtures.ts';
import { copiedTree } from '../../libraries.fixtures.ts';
import { type Place, startAt } from '../cluster.ts';
import { freeBasePort, temporary } from '../processes.ts';
import { ToyBackend } from './toy.ts';

const line =
  "  toy: kind(z.strictObject({ file: z.string() }), async ({ file }, { name }) => new (await import('./toy.ts')).ToyBackend(name, file)),\n";
const stack = new AsyncDisposableStack();
let tree: string;
beforeAll(async () => {
  tree = await copiedTree(stack);
  const backends = join(tree, 'platform/backends');
  const toy = await readFile(new URL('toy.ts', import.meta.url), 'utf8');
  await writeFile(join(backends, 'toy.ts'), toy.replace('../../../platform/backends/', './'));
  const kinds = await readFile(join(backends, 'kinds.ts'), 'utf8');
  await writeFile(join(backends, 'kinds.ts'), kinds.replace(/^(?= {2}noop: )/m, line));
}, 60_000);
afterAll(() => stack.disposeAsync());

describe('it passes the conformance suite', () =>
  backendConformance(async () => new ToyBackend('toy', join(await temporary(stack, 'toy'), 'objects')), {
    objects: 1_100,
  }));

test('shoal up takes it, and all that was pushed outlives the disks', { timeout: 180_000 }, async () => {
  const dir = await temporary(stack, 'toy');
  const backends = join(dir, 'backends.yaml');
  await mkdir(join(dir, 'far'));
  const toy = { file: join(dir, 'far/objects') };
  await writeFile(backends, JSON.stringify({ backends: [{ name: 'main', durability: 'backend', toy }] }));
  const shoal = [process.execPath, join(tree, 'bin/shoal.js')];
  const place: Place = { dir, base: await freeBasePort(1), agents: 1, backends, shoal };
  const at = (address: string): Reached => ({ url: () => `http://${address}` });
  const image = madeImage([3_000_000, 100, 0]);
  let cluster = await startAt(stack, place);
  await pushImage(at(cluster.proxy), 'library/app', image, ['1']);
  expect(await metricOf(at(`127.0.0.1:${place.base + 2}`), 'write_backs_total')).toBeGreaterThanOrEqual(4);
  await cluster.up.end();
  await rm(join(dir, 'data'), { recursive: true });
  cluster = await startAt(stack, place);
  const [agent = ''] = cluster.agents;
  const manifest = await pulled(at(agent), OCI_PATHS.manifest('library/app', '1'));
  expect(manifest.equals(image.bytes)).toBe(true);
  for (const { digest, bytes } of image.blobs)
    expect((await pulled(at(agent), OCI_PATHS.blob('library/app', digest))).equals(bytes)).toBe(true);
});

/** Two clusters that both have `tls`, each with an authority of its own: one sends to the other, whose proxy it knows by its CA. */

import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { afterAll, expect, test, vi } from 'vitest';
import { REPLICATE } from '../core/contracts/replicate/api.ts';
import { MEDIA } from '../core/oci/media.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import type { MaterialFiles } from '../platform/certs/material.ts';
import { TestAuthority } from '../platform/certs/testing.fixtures.ts';
import { HttpClient } from '../platform/clients/http.ts';
import { operatorHttp } from '../platform/secure/operator.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { madeImage, pushImage } from './images.fixtures.ts';
import { ReplicatedSite, type SiteRole } from './replicated.fixtures.ts';

const soon = { timeout: 60_000, interval: 100 } as const;
const stack = new AsyncDisposableStack();
afterAll(() => stack.disposeAsync());

async function secured(cluster: Cluster, name: string) {
  const authority = stack.use(await TestAuthority.make());
  const files = {} as Record<SiteRole, MaterialFiles>;
  for (const role of ['origin', 'index', 'proxy'] as const) files[role] = await authority.issue(role, { name: role });
  const site = await ReplicatedSite.place(cluster, name, { tls: (role) => files[role] });
  return { site, authority, files };
}

/** The status of a request to a site's proxy by whoever knows its CA. */
function statusOf(url: string, ca: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { accept: MEDIA.ociManifest };
    get(url, { ca, headers }, (answer) => resolve(answer.resume().statusCode ?? 0)).once('error', reject);
  });
}

test('a tag and its deletion come there; a proxy that our CA does not vouch for gets nothing', async () => {
  const cluster = stack.use(await Cluster.make());
  const [here, there] = [await secured(cluster, 'here'), await secured(cluster, 'there')];
  const ca = there.files.proxy.ca;
  const west = { ...there.site.remote, ca };
  // As if that were another address of it.
  const stranger = { ...there.site.remote, url: there.site.proxyUrl.replace('127.0.0.1', 'localhost') };
  here.site.replicate = {
    remotes: { west, stranger },
    rules: [{ repositories: 'team/**', to: ['west', 'stranger'], deletes: true }],
  };
  await there.site.start();
  await here.site.start();
  const image = madeImage([200_000, 100]);
  // Clients that know no certificates push by plain HTTP.
  const proxy = { url: () => here.site.proxyUrl.replace('https:', 'http:') };
  await pushImage(proxy, 'team/app', image, ['1', '2']);
  const at = (tag: string) =>
    statusOf(there.site.proxyUrl + OCI_PATHS.manifest('team/app', tag), readFileSync(ca, 'utf8'));
  await vi.waitFor(async () => expect([await at('1'), await at('2')]).toEqual([200, 200]), soon);
  await fetch(proxy.url() + OCI_PATHS.manifest('team/app', image.digest), { method: 'DELETE' });
  await vi.waitFor(
    async () => expect([await at('1'), await at('2'), await at(image.digest)]).toEqual([404, 404, 404]),
    soon,
  );

  const { certificate } = await here.authority.issue('admin');
  const transport = operatorHttp(certificate.slice(0, certificate.lastIndexOf('/')));
  await using index = new HttpClient({ base: here.site.indexUrl, transport });
  const { remotes } = REPLICATE.status.reply(await index.json('GET', REPLICATE.status.path({})), 'the index');
  const of = (name: string) => remotes.find((remote) => remote.name === name);
  expect(of('west')?.down).toBeUndefined();
  expect(of('stranger')?.down).toMatchObject({ cause: 'unavailable', message: expect.stringMatching(/certificate/i) });
}, 240_000);

/** `docker pull` of what no agent has, while the only tracker hangs (SIGSTOP), after kill -9, and when it is back. */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../cluster.ts';
import { startDocker } from '../engines.ts';
import { writeContext } from '../image.ts';
import { temporary } from '../processes.ts';

const MiB = 1 << 20;
/** Of different sizes, so that they have no layer in common. */
const IMAGES: Readonly<Record<string, number[]>> = {
  hung: [40 * MiB, 3 * MiB],
  dead: [41 * MiB, 4 * MiB],
  back: [42 * MiB, 5 * MiB],
};
/** An agent finds a blob within this, or says 503: `pull.find`. */
const findMs = 2_000;
const stack = new AsyncDisposableStack();
let cluster: Cluster;
let docker: Awaited<ReturnType<typeof startDocker>>;
const ids = new Map<string, string>();

beforeAll(async () => {
  [cluster, docker] = await Promise.all([startCluster(stack, 2), startDocker(stack)]);
  for (const [name, layers] of Object.entries(IMAGES)) {
    const folder = join(await temporary(stack, 'context'), name);
    await mkdir(folder);
    await writeContext(folder, layers);
    const image = `${cluster.proxy}/trackerless/${name}:1`;
    await docker('build', '-q', '-t', image, folder);
    ids.set(name, await docker('image', 'inspect', '-f', '{{.Id}}', image));
    await docker('push', '-q', image);
  }
});
// Whoever is held must go on, or `up` could not end it.
afterAll(async () => {
  signal(trackers(), 'SIGCONT');
  signal([cluster.up.pid], 'SIGCONT');
  await stack.disposeAsync();
});

/** Tracker processes of the cluster, children of `up`; one at most. */
function trackers(): number[] {
  const { pid } = cluster.up;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  return children.filter((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('/tracker/main'));
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) process.kill(pid, name);
}

/** Each agent in turn: pulled, and each byte checked by what runs. */
async function expectPulled(name: string): Promise<void> {
  for (const agent of cluster.agents) {
    const id = ids.get(name) ?? '';
    await docker('rmi', '-f', id);
    await docker('pull', '-q', `${agent}/trackerless/${name}:1`);
    expect(await docker('image', 'inspect', '-f', '{{.Id}}', `${agent}/trackerless/${name}:1`)).toBe(id);
    const checked = await docker('run', '--rm', '--network', 'none', `${agent}/trackerless/${name}:1`);
    expect(checked.match(/: OK$/gm)).toHaveLength(IMAGES[name]?.length ?? 0);
  }
}

/** What nobody holds is 404, not 503, and that within the time that a pull may take to find a blob. */
async function expectUnknown(): Promise<void> {
  for (const method of ['GET', 'HEAD']) {
    const digest = `sha256:${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('hex')}`;
    const begun = performance.now();
    const response = await fetch(`http://${cluster.agents[0]}/v2/trackerless/hung/blobs/${digest}`, { method });
    expect(response.status).toBe(404);
    expect(performance.now() - begun).toBeLessThan(findMs);
  }
}

test('the tracker hangs', async () => {
  expect(trackers()).toHaveLength(1);
  signal(trackers(), 'SIGSTOP');
  await expectPulled('hung');
  await expectUnknown();
});

test('the tracker is killed, and stays away', async () => {
  signal(trackers(), 'SIGCONT');
  // `up` would start another one at once.
  signal([cluster.up.pid], 'SIGSTOP');
  signal(trackers(), 'SIGKILL');
  await expectPulled('dead');
  await expectUnknown();
});

test('the tracker is back', async () => {
  signal([cluster.up.pid], 'SIGCONT');
  await cluster.up.until(async () => trackers().length === 1, 20_000);
  await expectPulled('back');
  await expectUnknown();
});

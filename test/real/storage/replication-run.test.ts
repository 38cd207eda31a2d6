/** A cluster that another one follows, through outages and kills of every part of both: of one index, and of three on PostgreSQL. */

import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { diffRemote } from '../../../cli/commands/replicate.ts';
import { prng } from '../../../core/prng.ts';
import { httpServer } from '../../../platform/backends/web/web.fixtures.ts';
import { Cluster } from '../../../platform/testing/cluster.ts';
import { metricOf } from '../../images.fixtures.ts';
import { ReplicatedSite } from '../../replicated.fixtures.ts';
import { byLength, ofShort } from '../short.ts';
import { Relay } from './relay.ts';
import { ReplicationRun, repo } from './replication-run.ts';
import type { DatabaseServer } from './servers/databases.ts';
import { startPostgres } from './servers/postgres.ts';
import { started } from './servers/server.ts';

const tags = byLength({ short: 30, usual: 500, long: 500 });
const phaseMs = byLength({ short: 1_000, usual: 10_000, long: 60_000 });
const layerBytes = byLength({ short: 1_000_000, usual: 9 << 20, long: 9 << 20 });
/** Of three one may be away, and pushes go on. */
const origins = byLength({ short: 2, usual: 3, long: 3 });
const seed = Number(process.env['SHOAL_SEED'] ?? Date.now() % 1_000_000);
const soon = { timeout: 300_000, interval: 250 } as const;
const stack = new AsyncDisposableStack();
let server: DatabaseServer;
beforeAll(async () => {
  server = await started(stack, (dir) => startPostgres(dir));
}, 120_000);
afterAll(() => stack.disposeAsync());

const shapes = {
  'one index': () => ({ indexes: 1, origins }),
  'three indexes on PostgreSQL': () => {
    const { host, port, database, username, password } = server.settings();
    return { indexes: 3, origins, store: { kind: 'postgres', host, port, database, username, password } };
  },
} as const;

/** A receiver of events. */
async function hearing(own: AsyncDisposableStack) {
  const [tags, ids]: [string[], Set<string>] = [[], new Set()];
  const url = await httpServer(own, async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { events } = JSON.parse(body) as { events: { id: string; target: { tag?: string } }[] };
    for (const { id, target } of events) {
      ids.add(id);
      if (target.tag !== undefined) tags.push(target.tag);
    }
    response.writeHead(200).end();
  });
  return { url, tags, ids };
}

const names = Object.keys(shapes) as (keyof typeof shapes)[];

test.each(ofShort(names, (name) => name !== 'one index'))(
  `all tags come, whole and in their order, from %s, seed ${seed}`,
  async (name) => {
    await using own = new AsyncDisposableStack();
    const cluster = own.use(await Cluster.make());
    const here = await ReplicatedSite.place(cluster, 'here', shapes[name]());
    const there = await ReplicatedSite.place(cluster, 'there', { origins });
    const relay = own.use(await Relay.start(there.proxyUrl));
    here.replicate = {
      remotes: { there: { ...there.remote, url: relay.url } },
      rules: [{ to: 'there', deletes: true }],
    };
    const told = await hearing(own);
    here.events = { endpoints: [{ name: 'ci', url: told.url, actions: ['push'] }] };
    await Promise.all([here.start(), there.start()]);
    const run = new ReplicationRun({ here, there, relay }, { tags, phaseMs, layerBytes, random: prng(seed) });
    await run.push();
    await run.watched(soon.timeout);
    const differing = async (): Promise<string> => {
      const lines: string[] = [];
      const asking = { index: here.indexUrl, json: false, signal: new AbortController().signal };
      await diffRemote({ remote: 'there', repositories: repo }, asking, (line) => lines.push(line)).catch(
        () => undefined,
      );
      return lines.at(-1) ?? '';
    };
    await vi.waitFor(
      async () => expect(await differing()).toBe(`1 repositories, ${tags + 1} tags: all the same`),
      soon,
    );
    await vi.waitFor(
      async () => expect(await metricOf({ url: () => here.indexUrl }, 'replication_waiting')).toBe(0),
      soon,
    );
    // Each at least once, and the first time of each in the order of the pushes.
    const numbered = (): string[] => [...new Set(told.tags)].filter((tag) => tag !== 'latest');
    await vi.waitFor(() => expect(numbered()).toEqual(Array.from({ length: tags }, (_, no) => `t${no}`)), soon);
    const again = `${told.tags.length} events, ${told.tags.length - told.ids.size} of them told again`;
    process.stderr.write(`${name}, seed ${seed}, ${tags} tags, ${again}\n${run.summary()}\n`);
    expect(run.wrong).toEqual([]);
    expect(run.pushed).toBe(tags);
  },
  900_000,
);

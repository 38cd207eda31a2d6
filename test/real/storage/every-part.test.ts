/**
 * One cluster, three of each part: any of them is killed and stopped at random while images are pushed and pulled, and so is
 * the engine that its indexes share; then all of them at once, with their disks, but for the bucket and the database. Nothing
 * that was acknowledged is lost, and what fails says so.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prng } from '../../../core/prng.ts';
import { Site } from '../chaos/bad/site.ts';
import { isClear } from '../chaos/judge/judge.ts';
import { recordLine } from '../chaos/judge/report.ts';
import { type Gateway, Load } from '../chaos/load/load.ts';
import { proveAll } from '../chaos/load/proof.ts';
import { pull } from '../chaos/load/pull.ts';
import type { PullRecord, PushRecord } from '../chaos/load/records.ts';
import { byLength, ofShort } from '../short.ts';
import { type Engine, engines } from './every/engines.ts';
import { type Befallen, befall } from './every/troubles.ts';

const counts = { origin: 3, tracker: 3, proxy: 2, index: 3, agent: 2 };
const rounds = byLength({ short: 1, usual: 4, long: 40 });
const seed = Number(process.env['SHOAL_SEED'] ?? byLength({ short: 1, usual: Date.now() % 100_000, long: 1 }));
const pace = { pulls: 10, pushes: 2 };
/** A round is some twenty seconds on a quiet machine; forty processes more, and it is ten times that. */
const limitMs = 900_000 + rounds * 240_000;
const soonMs = 180_000;
/** Connections that were made before are found dead. */
const afterMs = 3_000;
/** What cannot be put down to the machine: each kind of part was in trouble while these went on. */
const pullsMin = 10 * rounds;

describe.each(ofShort(Object.keys(engines), (name) => name.startsWith('PostgreSQL')))(`%s, seed ${seed}`, (name) => {
  const stack = new AsyncDisposableStack();
  const nowMs = (): number => performance.now();
  const say = (text: string): void => console.log(`${(nowMs() / 1_000).toFixed(1).padStart(7)} s  ${text}`);
  let engine: Engine;
  let site: Site;
  let load: Load;
  let loading: Promise<void>;
  const befallen: Befallen[] = [];

  beforeAll(async () => {
    engine = await (engines[name] as (typeof engines)[string])(stack);
    site = await Site.start(stack, counts, { index: engine.index, origin: engine.origin });
    const onRecord = (record: PullRecord | PushRecord): void => {
      if (record.failure !== undefined && !excused(record)) say(recordLine(record, []));
    };
    load = new Load({ seed, agents: gateways('agent'), proxies: gateways('proxy'), pace, nowMs, onRecord });
    loading = load.run();
  }, limitMs);
  afterAll(async () => {
    load?.stop();
    await stack.disposeAsync();
  });

  const gateways = (role: 'agent' | 'proxy'): Gateway[] =>
    site.names(role).map((one) => ({ name: one, registry: site.registry(one) }));

  /** Whoever was asked was killed meanwhile: it cannot say so. */
  const excused = ({ gateway, fromMs, toMs }: PullRecord | PushRecord): boolean =>
    befallen.some(
      (it) => it.target === gateway && it.what === 'kill -9' && it.fromMs <= toMs && fromMs <= it.toMs + afterMs,
    );

  async function allWell(): Promise<void> {
    for (const one of site.names()) await site.ready(one);
    const steps = [
      ...gateways('proxy').map((it) => ({ what: `push through ${it.name}`, well: () => load.once(it, 'push') })),
      ...gateways('agent').map((it) => ({ what: `pull through ${it.name}`, well: () => load.once(it, 'pull') })),
    ];
    for (const { what, well } of steps)
      await expect.poll(() => well().catch(() => false), { timeout: soonMs, message: what }).toBe(true);
  }

  /** What each tag may say, each image and each blob that was acknowledged, through agents and proxies, byte for byte. */
  async function allThere(): Promise<void> {
    const { catalogue } = load;
    let no = 0;
    for (const { name: gateway, registry } of [...gateways('agent'), ...gateways('proxy')]) {
      for (const { repo, tag } of catalogue.tags()) {
        const got = await pull({ by: 'tag', repo, tag }, { no: ++no, gateway, registry, catalogue, nowMs });
        expect({ ...got, failure: got.failure, wrong: got.wrong }).toMatchObject({
          failure: undefined,
          wrong: undefined,
        });
      }
    }
    const origins = site.names('origin').map((one) => site.admin(one));
    const proved = await proveAll(catalogue.held, origins, gateways('proxy'));
    expect(proved.filter(({ wrong }) => wrong.length > 0)).toEqual([]);
    say(`${catalogue.held.length} blobs and manifests, ${catalogue.tags().length} tags: all there`);
  }

  test('whichever part is killed or stopped, nothing acknowledged is lost, and what fails says so', {
    timeout: limitMs,
  }, async () => {
    await expect.poll(() => load.catalogue.images.length, { timeout: soonMs }).toBeGreaterThan(3);
    await befall(rounds, { site, engine: engine.troubles, random: prng(seed), nowMs, say, befallen });
    await allWell();
    await allThere();
    const told = [...load.pulls, ...load.pushes];
    const failed = told.filter((it) => it.failure !== undefined && !excused(it));
    const happened = `${befallen.length} troubles; ${load.pulls.length} pulls, ${load.pushes.length} pushes`;
    say(`${happened}; failed, as they may: ${failed.length}`);
    const unclear = failed.filter(({ failure }) => failure !== undefined && !isClear(failure));
    expect(unclear.map((it) => recordLine(it, []))).toEqual([]);
    expect(site.died).toEqual([]);
    expect(load.pulls.length - failed.length).toBeGreaterThan(pullsMin);
  });

  test('then all of them at once, with their disks: everything comes back from the bucket and the engine', {
    timeout: limitMs,
  }, async () => {
    // In the middle of pushes: what comes in the last moment counts, too, if it is acknowledged.
    for (const target of site.names())
      befallen.push({ target, what: 'kill -9', fromMs: nowMs(), toMs: Number.POSITIVE_INFINITY });
    await Promise.all(site.names().map((one) => site.kill(one)));
    load.stop();
    await engine.fall();
    for (const one of site.names()) await site.lose(one);
    await loading;
    for (const one of site.names()) await site.start(one, false);
    await allWell();
    await allThere();
    expect(load.pulls.flatMap(({ wrong }) => wrong ?? [])).toEqual([]);
    expect(site.died).toEqual([]);
  });
});

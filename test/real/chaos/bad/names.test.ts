/** A list of members that DNS tells of, and a name server that says for a minute that there is nobody, or nothing. */
import { expect, test } from 'vitest';
import { byLength } from '../../short.ts';
import { PORTS } from '../hosts/configs.ts';
import { NameServer } from './names.ts';
import { addressAt, eventually, type More, repo, Site } from './site.ts';

const emptyMs = byLength({ short: 10_000, usual: 60_000, long: 60_000 });
const layerBytes = 300_000;
const soonMs = 30_000;
/** Of the nodes: origins are the first ones. */
const [first, second, third] = [addressAt(1), addressAt(2), addressAt(3)];

/** Pushes and pulls for that long: each goes well. */
async function goesOn(site: Site, name: string, forMs: number): Promise<void> {
  for (const [untilMs, no] = [performance.now() + forMs, { at: 0 }]; performance.now() < untilMs; no.at++) {
    const { manifest, blobs } = await site.push(`${name}${no.at}`, layerBytes);
    for (const at of ['agent-1', 'proxy-1']) {
      expect((await site.registry(at).manifest(repo, `${name}${no.at}`)).digest).toBe(manifest);
      for (const { digest } of blobs) expect((await site.registry(at).blob(repo, digest)).digest).toBe(digest);
    }
  }
}

test.each([
  { says: 'that there is nobody', nobody: [] },
  { says: 'nothing', nobody: 'silent' as const },
])('it says $says: pushes and pulls go on, and who comes afterwards is found', async ({ nobody }) => {
  await using stack = new AsyncDisposableStack();
  const names = stack.use(await NameServer.start(addressAt(250), [first, second]));
  const members = { resolver: [names.at], refresh: '500ms', check: '500ms' };
  const listed = { origins: [`dns+http://origins.shoal.test:${PORTS.origin}`], members };
  const more: More = { origin: { ...listed, self: undefined }, tracker: listed, proxy: listed, agent: { members } };
  const counts = { origin: 3, tracker: 1, proxy: 1, index: 1, agent: 1 };
  const site = await Site.start(stack, counts, more, ({ name }) => name !== 'origin-3');
  await goesOn(site, 'before', 1);
  names.answer = nobody;
  const asked = names.asked;
  await goesOn(site, 'empty', emptyMs);
  expect(names.asked).toBeGreaterThan(asked);
  // One that is started now has its list from before.
  await site.stop('origin-2');
  await site.start('origin-2');
  await goesOn(site, 'again', 1);
  await site.start('origin-3', false);
  names.answer = [first, second, third];
  await site.ready('origin-3');
  const found = async (): Promise<boolean> => {
    const { blobs } = await site.push('after', layerBytes);
    const held = await Promise.all(blobs.map(({ digest }) => site.holds('origin-3', digest)));
    return held.includes(true);
  };
  expect(await eventually(found, Boolean, soonMs)).toBe(true);
});

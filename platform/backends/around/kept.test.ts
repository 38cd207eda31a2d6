import { expect, test } from 'vitest';
import { realClock } from '../../net/clock.ts';
import { createLog } from '../../telemetry/log.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import type { Backend } from '../backend.ts';
import { Backends } from '../backends.ts';
import { backendsShape } from '../config.ts';
import { MemoryBackend } from '../memory.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { NothingRemoved, ReadOnly } from './kept.ts';

async function filled(): Promise<MemoryBackend> {
  const backend = new MemoryBackend('main');
  await backend.put('key', Buffer.from('old'), never);
  return backend;
}

const text = async (backend: Backend): Promise<string> =>
  String(await bytesOf(backend.read('key', { start: 0, end: 3 }, never)));

test('where others write as well, all is as it was but that nothing is removed, which says why', async () => {
  await using backend = new NothingRemoved(await filled());
  await expect(backend.remove('key', never)).rejects.toMatchObject({
    why: 'refused',
    message: expect.stringMatching(/^main: key is not removed, .*`shared: true`/),
  });
  expect(await text(backend)).toBe('old');
  await backend.write('other', sourceOf(Buffer.from('x')), never);
  await backend.put('key', Buffer.from('new'), never);
  expect(await text(backend)).toBe('new');
  expect((await backend.list('', { max: 9 }, never)).objects.map(({ key }) => key)).toEqual(['key', 'other']);
});

test('one that is only read refuses each write, and its probe asks for none', async () => {
  const inner = await filled();
  inner.probe = () => Promise.reject(new Error('a probe that writes'));
  await using backend = new ReadOnly(inner);
  await backend.probe(never);
  expect(backend.can).toEqual({ ...inner.can, writes: false });
  const refused = { why: 'refused', message: expect.stringContaining('`readOnly`') };
  await expect(backend.write('key', sourceOf(Buffer.from('x')), never)).rejects.toMatchObject(refused);
  await expect(backend.put('key', Buffer.from('x'), never)).rejects.toMatchObject(refused);
  await expect(backend.remove('key', never)).rejects.toMatchObject(refused);
  expect([await text(backend), (await backend.stat('key', never))?.size]).toEqual(['old', 3]);
});

test('a rule that says so opens its backend so, and that of its tags', async () => {
  const log = createLog({ role: 'origin', level: 'silent', name: '' });
  const given = { log, metrics: new Metrics(), env: {}, clock: realClock, sharers: () => 1 };
  const rules = [
    { name: 'shared', memory: {}, tags: { memory: {} }, shared: true, repositories: 'a' },
    { name: 'own', memory: {}, shared: false, repositories: 'b' },
    { name: 'read', memory: {}, readOnly: true },
  ];
  await using backends = await Backends.open(backendsShape().parse(rules), given);
  const of = (name: string) => backends.named(name) as NonNullable<ReturnType<Backends['named']>>;
  await expect(of('shared').backend.remove('x', never)).rejects.toMatchObject({ why: 'refused' });
  await expect(of('shared').tags?.remove('x', never)).rejects.toMatchObject({ why: 'refused' });
  await of('own').backend.remove('x', never);
  await expect(of('read').backend.put('x', Buffer.from('x'), never)).rejects.toMatchObject({ why: 'refused' });
  expect([of('shared').shared, of('own').shared, of('read').shared]).toEqual([true, false, undefined]);
});

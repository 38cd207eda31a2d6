import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Child, type ChildPlan, isReady, nodeCommand } from './child.ts';

/** Its argument: how it behaves. */
const TOY = `
const [how] = process.argv.slice(2);
setInterval(() => {}, 1000);
if (how === 'early') { console.log('no such disk'); process.exit(2); }
if (how === 'floods') {
  const line = 'x'.repeat(1000) + '\\n';
  (function flood() { while (process.stdout.write(line)); process.stdout.once('drain', flood); })();
}
if (how === 'endless') (function flood() { while (process.stdout.write('y'.repeat(100000))); process.stdout.once('drain', flood); })();
if (how === 'stubborn') process.on('SIGTERM', () => console.log('no'));
if (how !== 'hangs') process.send?.({ ready: true, role: 'toy', ports: { api: 7 } });
process.on('message', (message) => { console.log('heard', JSON.stringify(message)); process.send(message); });
`;

let dir: string;
let started: Child[] = [];
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-child-'));
  writeFileSync(join(dir, 'toy.cjs'), TOY);
});
afterEach(async () => {
  await Promise.all(started.map((child) => child.end(0)));
  started = [];
});
afterAll(() => rmSync(dir, { recursive: true }));

const planOf = (how: string, output: ChildPlan['output'] = 'lines'): ChildPlan => {
  return { name: how, command: nodeCommand(pathToFileURL(join(dir, 'toy.cjs')), [how]), output, channel: true };
};
async function ready(how: string, output?: ChildPlan['output'], withinMs = 10_000): Promise<Child> {
  const { child } = await Child.ready(planOf(how, output), (starting) => {
    started.push(starting);
    return starting.message(isReady, withinMs);
  });
  return child;
}
/** Not counting one that is only still to be collected by whoever adopted it. */
const alive = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

describe('a child', () => {
  test('is ready when it says so, hears what it is sent, and ends when it is told to', async () => {
    const { child, said } = await Child.ready(planOf('plain'), (starting) => starting.message(isReady, 10_000));
    started.push(child);
    expect(said.ports).toEqual({ api: 7 });
    const line = child.first<string>((found) => child.onLine(found), 10_000);
    const echo = child.message((message): message is { no: number } => typeof message === 'object', 10_000);
    child.send({ no: 1 });
    expect(await echo).toEqual({ no: 1 });
    expect(await line).toBe('heard {"no":1}');
    expect([child.running, alive(child.pid), child.asked]).toEqual([true, true, false]);
    expect(await child.end()).toEqual({ code: null, how: 'signal SIGTERM' });
    expect([child.running, alive(child.pid), child.asked]).toEqual([false, false, true]);
  });

  test.each(['lines', 'file'])('that ends early fails with how it ended and what it said last (%s)', async (kind) => {
    const output = kind === 'file' ? { file: join(dir, 'logs', 'early.log') } : 'lines';
    await expect(ready('early', output)).rejects.toThrow('early: exit code 2; the end of its log:\nno such disk');
  });

  test('that never says that it is ready is ended, and the error says for how long it was waited for', async () => {
    await expect(ready('hangs', 'lines', 300)).rejects.toThrow('hangs: not within 0.3 s');
    expect(alive(started[0]?.pid ?? 0)).toBe(false);
  });

  test('that is no program at all fails at once', async () => {
    const child = Child.start({ name: 'none', command: [join(dir, 'nowhere')], output: 'lines' });
    await expect(child.message(isReady, 10_000)).rejects.toThrow(/^none: it did not start: .*ENOENT/);
    expect(child.running).toBe(false);
    await child.end();
  });

  test('that ignores SIGTERM is killed after the stated time, not before', async () => {
    const child = await ready('stubborn');
    const refused = child.first<string>((found) => child.onLine(found), 10_000);
    const begunMs = performance.now();
    const ending = child.end(400);
    expect(await refused).toBe('no');
    expect(await ending).toEqual({ code: null, how: 'signal SIGKILL' });
    expect(performance.now() - begunMs).toBeGreaterThanOrEqual(399);
  });

  test('that is stopped by a signal is killed as well', async () => {
    const child = await ready('plain');
    child.signal('SIGSTOP');
    expect(await child.end(100)).toEqual({ code: null, how: 'signal SIGKILL' });
  });

  test.each(['floods', 'endless'])('whose output has no end (%s) is kept in a few kilobytes', async (how) => {
    const child = await ready(how);
    const before = process.memoryUsage().heapUsed;
    for (let lines = 0, stop = child.onLine(() => lines++), i = 0; i < 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(child.tail().length).toBeLessThanOrEqual(4_096);
      if (i === 19) stop();
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(100 * 2 ** 20);
    expect(await child.end()).toEqual({ code: null, how: 'signal SIGTERM' });
    if (how === 'floods') expect(child.tail()).toMatch(/^x+\n(x+\n)*x*$/);
  });

  test('is ready, too, when something is true of it', async () => {
    const child = Child.start(planOf('plain'));
    started.push(child);
    let asked = 0;
    await child.until(async () => {
      asked++;
      if (asked === 1) throw new Error('nothing listens');
      return asked === 3;
    }, 10_000);
    expect(asked).toBe(3);
    await expect(child.until(async () => false, 120)).rejects.toThrow('plain: not within 0.12 s');
    const last = asked;
    child.signal('SIGKILL');
    await expect(child.until(async () => false, 10_000)).rejects.toThrow('plain: signal SIGKILL');
    expect(asked).toBe(last);
  });
});

test('a log that has grown large is put aside before more is added to it', async () => {
  const file = join(dir, 'large.log');
  writeFileSync(file, Buffer.alloc(16 * 2 ** 20 + 1));
  await expect(ready('early', { file })).rejects.toThrow('exit code 2');
  expect(readFileSync(file, 'utf8')).toBe('no such disk\n');
  expect(statSync(`${file}.1`).size).toBe(16 * 2 ** 20 + 1);
  await expect(ready('early', { file })).rejects.toThrow('exit code 2');
  expect(readFileSync(file, 'utf8')).toBe('no such disk\nno such disk\n');
});

test('none is left behind by a process that exits', () => {
  const script = `
    import { Child, nodeCommand } from '${new URL('./child.ts', import.meta.url)}';
    const entry = new URL('${pathToFileURL(join(dir, 'toy.cjs'))}');
    // Without a channel nothing tells it that its parent is gone.
    const children = ['stubborn', 'plain'].map((how) =>
      Child.start({ name: how, command: nodeCommand(entry, [how]), output: 'lines', ownSession: true }));
    console.log(children.map((child) => child.pid).join());
    process.exit(3);
  `;
  const parent = join(dir, 'parent.mts');
  writeFileSync(parent, script);
  const output = ((): string => {
    try {
      execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', parent], { encoding: 'utf8' });
    } catch (error) {
      expect(error).toMatchObject({ status: 3 });
      return (error as { stdout: string }).stdout;
    }
    throw new Error('it did not exit by itself');
  })();
  const pids = output.trim().split(',').map(Number);
  expect(pids).toHaveLength(2);
  return expect.poll(() => pids.filter(alive)).toEqual([]);
});

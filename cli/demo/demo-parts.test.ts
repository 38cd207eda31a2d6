import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { demoImage } from './image.ts';
import { killer, parseKill } from './kill.ts';
import { sample } from './measure.ts';
import { boundSeconds, type DemoResult, report } from './report.ts';

async function read(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(Uint8Array.from(chunk));
  return Buffer.concat(all);
}

test('equal seeds give equal digests, that are those of the bytes; any offset reads the same bytes', async () => {
  const image = await demoImage(2_000_000, 'seed');
  expect((await demoImage(2_000_000, 'seed')).manifest.digest).toBe(image.manifest.digest);
  expect((await demoImage(2_000_000, 'other')).manifest.digest).not.toBe(image.manifest.digest);
  expect(image.layers).toHaveLength(4);
  for (const layer of image.layers) {
    const whole = await read(layer.read(0));
    expect(whole.length).toBe(layer.size);
    expect(`sha256:${createHash('sha256').update(whole).digest('hex')}`).toBe(layer.digest);
    for (const from of [1, 511, 512, 513, 300_007, layer.size - 1500, layer.size - 1, layer.size]) {
      if (from <= layer.size)
        expect((await read(layer.read(from))).equals(whole.subarray(from)), `from ${from}`).toBe(true);
    }
  }
});

test('a layer is a tar archive with a right checksum; the manifest names config and layers', async () => {
  const image = await demoImage(1_000_000, 's');
  const header = (await read(image.layers[3]?.read(0) ?? (async function* () {})())).subarray(0, 512);
  const stored = Number.parseInt(header.toString('latin1', 148, 154), 8);
  const blank = Buffer.from(header).fill(' ', 148, 156);
  expect(stored).toBe(blank.reduce((sum, byte) => sum + byte, 0));
  const manifest = JSON.parse(Buffer.from(image.manifest.bytes).toString()) as {
    config: { digest: string };
    layers: { size: number }[];
  };
  expect(manifest.config.digest).toBe(image.config.digest);
  expect(manifest.layers.map((layer) => layer.size)).toEqual(image.layers.map((layer) => layer.size));
});

test('--kill names a part and a moment, and fires once', () => {
  const parts = ['proxy', 'agent-1'];
  expect(parseKill('agent-1@0.3', parts)).toEqual({ part: 'agent-1', stage: 'pull', at: 0.3 });
  expect(parseKill('proxy@push', parts)).toEqual({ part: 'proxy', stage: 'push', at: 0.5 });
  for (const bad of ['x@0.3', 'proxy', 'proxy@', 'proxy@2', 'proxy@soon'])
    expect(() => parseKill(bad, parts), bad).toThrow('--kill');
  const killed: string[] = [];
  const reached = killer(parseKill('agent-1@0.3', parts), (part) => killed.push(part));
  reached('push', 0.9);
  reached('pull', 0.2);
  reached('pull', 0.3);
  reached('pull', 0.4);
  expect(killed).toEqual(['agent-1']);
});

test('metrics text: the sum over matching labels', () => {
  const text =
    '# HELP a b\na_total{role="agent",x="1"} 5\na_total{role="agent"} 2e3\na_total{role="origin"} 7\na_total_other 9\nb 1.5\n';
  expect(sample(text, 'a_total', ['role="agent"'])).toBe(2005);
  expect(sample(text, 'b')).toBe(1.5);
});

test('the bound counts CPU over cores, and the one client thread', () => {
  const direct = { bytes: 1e8, ms: 100, clientCpuS: 0.1, originCpuS: 0.05 };
  expect(boundSeconds(direct, 4, 2)).toBeCloseTo(0.4);
  expect(boundSeconds({ ...direct, originCpuS: 0.3 }, 4, 2)).toBeCloseTo(0.8);
});

test('the report says what is not known', () => {
  const result: DemoResult = {
    imageBytes: 1e8,
    layers: 4,
    push: { bytes: 1e8, ms: 500 },
    agents: [
      { name: 'agent-1', bytes: 1e8, ms: 1000, firstByteMs: 50, fromPeers: 75, fromOrigins: 25 },
      { name: 'agent-2', bytes: 1e8, ms: 2000, firstByteMs: 60 },
    ],
    originBytes: undefined,
    direct: { bytes: 1e8, ms: 100, clientCpuS: 0.1, originCpuS: 0.1 },
    cores: 2,
    restarts: 1,
  };
  const text = report(result);
  expect(text).toMatch(/agent-1 +1\.00 s +0\.05 s +100\.0 MB\/s +75 % +25 %/);
  expect(text).toMatch(/agent-2 .* \? +\?/);
  expect(text).toContain('unknown: it was restarted');
  expect(text).toContain('10.0 x the bound');
});
